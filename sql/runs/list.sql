-- Candidates of a list without a filter that has an index, newest first.
SELECT id, status, queue, name FROM runs WHERE id < :before ORDER BY id DESC
