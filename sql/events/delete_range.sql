-- A piece of a deleted run's events: small enough that nobody waits for it.
DELETE FROM run_events
WHERE id IN (SELECT id FROM run_events WHERE run = :run ORDER BY seq LIMIT :rows)
