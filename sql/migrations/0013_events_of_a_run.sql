-- For whoever reads beside the daemon: `WHERE run = 42` finds the events of a run by their keys, where it went through all
-- events of all runs (20,000 runs of 13 events each: 0.2 ms, not 60). Each run is joined with its range of keys; the indexes
-- are named, since for other conditions SQLite would otherwise make one of its own for each run. 0: what belongs to no run.
DROP VIEW run_events;

CREATE VIEW run_events AS
SELECT events.id, known.run, events.seq, events.at, events.kind, NULL AS stream, events.data
FROM (SELECT id AS run FROM runs UNION ALL SELECT run FROM doomed_runs UNION ALL SELECT 0) AS known
CROSS JOIN events INDEXED BY sqlite_autoindex_events_1 ON events.key BETWEEN known.run << 32 AND known.run << 32 | 4294967295
UNION ALL
SELECT output.id, known.run, output.seq, output.at, 'output', output.stream, output.data
FROM (SELECT id AS run FROM runs UNION ALL SELECT run FROM doomed_runs) AS known
CROSS JOIN output NOT INDEXED ON output.key BETWEEN known.run << 32 AND known.run << 32 | 4294967295;
