-- A piece of the output of before.
INSERT INTO output (key, id, at, stream, data)
SELECT run << 32 | seq, id, at, stream, data FROM run_events_before WHERE id <= :to AND kind = 'output' ORDER BY id
