-- How long the next events are that are to be moved, to decide how many of them go at a time.
SELECT id, octet_length(data) FROM run_events_before ORDER BY id LIMIT :rows
