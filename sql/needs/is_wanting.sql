-- Whether a run still needs something.
SELECT 1 FROM needs WHERE run = :run AND met = 0 LIMIT 1
