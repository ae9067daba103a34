-- The highest event id of a run that is removed: ids rise with seq.
SELECT id FROM run_events WHERE run = :run ORDER BY seq DESC LIMIT 1
