-- What is left of the events of before, which is nothing where the daemon moved them in pieces, and the view without them.
DROP VIEW run_events;

INSERT INTO events (id, key, at, kind, data)
SELECT id, run << 32 | seq, at, kind, data FROM run_events_before WHERE kind <> 'output' ORDER BY id;
INSERT INTO output (key, id, at, stream, data)
SELECT run << 32 | seq, id, at, stream, data FROM run_events_before WHERE kind = 'output' ORDER BY id;
INSERT INTO output_blocks (block, run, key)
SELECT id >> 6, run, MIN(run << 32 | seq) FROM run_events_before WHERE kind = 'output' GROUP BY id >> 6, run
ON CONFLICT DO NOTHING;
DROP TABLE run_events_before;

CREATE VIEW run_events AS
SELECT id, run, seq, at, kind, NULL AS stream, data FROM events
UNION ALL
SELECT id, run, seq, at, 'output', stream, data FROM output;
