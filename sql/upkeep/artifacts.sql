-- How many artifacts there are, and their bytes: files that are not in the database, and so in no copy of it.
-- scan: reads an index that has no more than the runs that left something
SELECT COALESCE(SUM(artifacts), 0) AS count, COALESCE(SUM(artifact_bytes), 0) AS bytes
FROM runs INDEXED BY runs_with_artifacts
WHERE artifact_bytes > 0
