-- A run whose events are still to be removed.
SELECT run FROM doomed_runs ORDER BY run LIMIT 1
