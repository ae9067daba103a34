-- The last of a deleted run's events is gone.
DELETE FROM doomed_runs WHERE run = :run
