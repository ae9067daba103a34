-- The newest run's id.
SELECT MAX(id) FROM runs
