-- The same from the newest down, for a reader who wants the newest N.
SELECT id, run, kind, 0 AS bytes FROM run_events INDEXED BY run_events_told
WHERE kind <> 'output' AND id < :before
ORDER BY id DESC LIMIT :rows
