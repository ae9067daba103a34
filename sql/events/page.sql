-- A page of a run's events after a cursor. The caller stops at its limit in bytes; an open read lets the WAL grow.
SELECT id, seq, at, kind, stream, data FROM run_events WHERE run = :run AND seq > :after ORDER BY seq LIMIT :rows
