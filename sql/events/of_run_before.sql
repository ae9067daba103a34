-- The same from the newest down.
SELECT seq, id, kind, key FROM events WHERE key >= :first AND key < :before
UNION ALL
SELECT seq, id, 'output', key FROM output WHERE key >= :first AND key < :before
ORDER BY key DESC
LIMIT :rows
