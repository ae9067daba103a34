-- A run's events after a seq. Several runs' events are merged from these, so that other runs cost nothing.
SELECT seq, id, kind FROM run_events WHERE run = :run AND seq > :after ORDER BY seq LIMIT :rows
