-- The runs that a run waits for: 64 at most.
SELECT needed FROM needs WHERE run = :run AND met = 0 ORDER BY needed
