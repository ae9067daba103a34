-- How long a run's next events are, oldest first, to decide how many of them go. Reads lengths, not contents.
SELECT id, seq, kind, octet_length(data) FROM run_events WHERE run = :run AND seq > :after ORDER BY seq LIMIT :rows
