-- A page of all runs' events after a cursor, for readers who want output too. The length of the data is in the row's
-- header, so that it is not read for it.
SELECT id, run, kind, octet_length(data) AS bytes FROM run_events WHERE id > :after ORDER BY id LIMIT :rows
