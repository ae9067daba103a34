-- The same from the newest down, for a reader who wants the newest N.
SELECT id, seq, at, kind, NULL AS stream, data, run FROM events WHERE id < :before ORDER BY id DESC LIMIT :rows
