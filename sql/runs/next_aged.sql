-- The next run that is too old. An end before :built is not believed.
SELECT id FROM runs
WHERE fresh = 0 AND keep = 0 AND ended_at BETWEEN :built AND :before
ORDER BY ended_at, id
LIMIT 1
