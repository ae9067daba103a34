-- The runs of a key that have not ended, the newest first. What has ended stands in the index until it is filed, with few
-- others.
SELECT id, status, attempt FROM runs INDEXED BY runs_by_key
WHERE fresh = 1 AND key = :key AND ended_at IS NULL
ORDER BY id DESC
LIMIT :rows
