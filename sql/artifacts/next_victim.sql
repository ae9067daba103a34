-- Whose artifacts go next where all together are too many bytes: of the oldest run that has ended and is not kept.
-- scan: begins at the oldest of an index that has no others, and passes over those that are kept or go on
SELECT id, artifacts FROM runs INDEXED BY runs_with_artifacts
WHERE artifact_bytes > 0 AND keep = 0 AND ended_at IS NOT NULL
ORDER BY id
LIMIT 1
