-- A job.
SELECT name, definition, version, created_at, changed_at, accounted_at, highest_at, pruned_at, next_at
FROM jobs WHERE name = :name
