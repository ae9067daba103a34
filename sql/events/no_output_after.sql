-- Events of all runs but output, after a cursor. They are filtered by the index alone.
SELECT id, run, kind, 0 AS bytes FROM run_events INDEXED BY run_events_told
WHERE kind <> 'output' AND id > :after
ORDER BY id LIMIT :rows
