-- The same from the newest down, for a reader who wants the newest N.
SELECT id, run, kind, octet_length(data) AS bytes FROM run_events WHERE id < :before ORDER BY id DESC LIMIT :rows
