-- One of those who need a run and were not told of its end.
SELECT run, wanted FROM needs WHERE needed = :needed AND met = 0 LIMIT 1
