-- Bytes of all runs' artifacts, and of those that are not removed to make room.
-- scan: reads an index that has no more than the runs that left something, when something is left
SELECT COALESCE(SUM(artifact_bytes), 0), COALESCE(SUM(IIF(keep = 0, 0, artifact_bytes)), 0)
FROM runs INDEXED BY runs_with_artifacts
WHERE artifact_bytes > 0
