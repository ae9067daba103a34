-- A run's output below a key, the newest first, for a search: the caller stops at its limit in bytes and time.
SELECT key, at, stream, data FROM output WHERE key >= :first AND key < :before ORDER BY key DESC
