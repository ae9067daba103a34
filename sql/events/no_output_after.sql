-- What is no output, of all runs, after a cursor: the table's own order.
SELECT id, seq, at, kind, NULL AS stream, data, run FROM events WHERE id > :after ORDER BY id LIMIT :rows
