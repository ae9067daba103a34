-- How long a run's next output is, oldest first, to decide how much of it goes. Reads lengths, not contents.
SELECT id, key, octet_length(data) FROM output WHERE key > :after AND key <= :last ORDER BY key LIMIT :rows
