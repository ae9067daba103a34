-- The lengths of a run's next events, oldest first, to decide how many are removed. Reads lengths, not contents.
SELECT id, seq, kind, octet_length(data) FROM run_events WHERE run = :run AND seq > :after ORDER BY seq LIMIT :rows
