-- The first run from an id on, and when it was submitted: by it a time is found among the ids, by halves.
SELECT id, created_at FROM runs WHERE id >= :id ORDER BY id LIMIT 1
