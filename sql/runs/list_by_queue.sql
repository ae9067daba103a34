-- Candidates of a list by queue, of what was filed, newest first.
SELECT id, status, queue, name FROM runs INDEXED BY runs_by_queue
WHERE fresh = 0 AND queue = :queue AND id < :before ORDER BY id DESC
