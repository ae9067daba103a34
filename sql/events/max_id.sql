-- The newest event's id.
SELECT MAX(id) FROM run_events
