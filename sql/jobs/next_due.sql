-- When the first job is due.
SELECT MIN(next_at) FROM jobs WHERE next_at IS NOT NULL
