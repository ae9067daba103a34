-- A piece of the events of before that are no output.
INSERT INTO events (id, key, at, kind, data)
SELECT id, run << 32 | seq, at, kind, data FROM run_events_before WHERE id <= :to AND kind <> 'output' ORDER BY id
