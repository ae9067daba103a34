-- A page of a run's events after a cursor. The caller stops at its limit in bytes; an open read grows the WAL.
SELECT id, seq, at, kind, NULL AS stream, data, key FROM events WHERE key > :after AND key <= :last
UNION ALL
SELECT id, seq, at, 'output', stream, data, key FROM output WHERE key > :after AND key <= :last
ORDER BY key
LIMIT :rows
