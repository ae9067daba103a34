-- Removes the record of a run that is removed.
DELETE FROM trimmed_runs WHERE run = :run
