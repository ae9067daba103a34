-- A page of a run's events before a seq, the newest first: for the last lines of its log. Every kind counts as a row, so
-- that no page walks over more than it may.
SELECT id, seq, at, kind, NULL AS stream, data, key FROM events WHERE key >= :first AND key < :before
UNION ALL
SELECT id, seq, at, 'output', stream, data, key FROM output WHERE key >= :first AND key < :before
ORDER BY key DESC
LIMIT :rows
