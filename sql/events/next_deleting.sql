-- A run whose events are still to be removed.
-- scan: stops at the first row
SELECT run FROM doomed_runs ORDER BY run LIMIT 1
