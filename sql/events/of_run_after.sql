-- A run's events after a key: what several runs' events are merged from, so that all other runs cost nothing.
SELECT seq, id, kind, key FROM events WHERE key > :after AND key <= :last
UNION ALL
SELECT seq, id, 'output', key FROM output WHERE key > :after AND key <= :last
ORDER BY key
LIMIT :rows
