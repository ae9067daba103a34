-- Candidates of a list by name, newest first.
SELECT id, status, queue, name FROM runs WHERE name = :name AND id < :before ORDER BY id DESC
