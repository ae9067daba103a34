-- What is no output, of all runs, after a cursor: read from the index alone, whatever a filter hides of it.
SELECT id, run, kind, 0 AS bytes FROM run_events INDEXED BY run_events_told
WHERE kind <> 'output' AND id > :after
ORDER BY id LIMIT :rows
