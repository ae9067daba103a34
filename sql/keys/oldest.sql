-- The run of a key whose turn it is: of those that have not ended, the first.
SELECT id, status, attempt, held_by FROM runs INDEXED BY runs_by_key
WHERE fresh = 1 AND key = :key AND ended_at IS NULL
ORDER BY id
LIMIT 1
