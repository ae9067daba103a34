-- A run's artifacts are gone, or replaced.
DELETE FROM artifacts WHERE run = :run
