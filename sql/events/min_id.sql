-- The oldest event that is still there.
SELECT MIN(id) FROM run_events
