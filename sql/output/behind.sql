-- What of a run's output comes right behind a key: a search that goes on there has to know how the last line ends.
SELECT key, at, stream, data FROM output WHERE key >= :from AND key <= :last ORDER BY key LIMIT :rows
