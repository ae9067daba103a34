-- The id of the oldest event that is left.
SELECT MIN(id) FROM run_events
