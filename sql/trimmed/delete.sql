-- The run goes.
DELETE FROM trimmed_runs WHERE run = :run
