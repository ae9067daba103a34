-- Some of those that wait and need a run.
SELECT run FROM needs WHERE needed = :needed LIMIT :rows
