-- Every event of all runs after a cursor, for those who want output too. How long its data is stands in the row's head.
SELECT id, run, kind, octet_length(data) AS bytes FROM run_events WHERE id > :after ORDER BY id LIMIT :rows
