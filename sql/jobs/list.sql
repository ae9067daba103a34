-- Jobs by name, from behind one.
SELECT name, definition, version, created_at, changed_at, accounted_at, highest_at, pruned_at, next_at
FROM jobs WHERE name > :after ORDER BY name LIMIT :rows
