-- How long a run's next events are, oldest first, to decide how many of them go. Reads lengths, not contents.
SELECT id, seq, 0 AS is_output, octet_length(data) AS bytes, key FROM events WHERE key > :after AND key <= :last
UNION ALL
SELECT id, seq, 1, octet_length(data), key FROM output WHERE key > :after AND key <= :last
ORDER BY key
LIMIT :rows
