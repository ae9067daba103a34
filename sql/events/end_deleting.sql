-- The last of a removed run's events is removed.
DELETE FROM doomed_runs WHERE run = :run
