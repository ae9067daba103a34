-- Candidates of a list by queue, newest first.
SELECT id, status, queue, name FROM runs WHERE queue = :queue AND id < :before ORDER BY id DESC
