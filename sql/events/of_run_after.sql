-- A run's events after a seq: what several runs' events are merged from, so that all other runs cost nothing.
SELECT seq, id, kind FROM run_events WHERE run = :run AND seq > :after ORDER BY seq LIMIT :rows
