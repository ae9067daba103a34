-- Candidates of a list by one status, of what was filed, newest first; several are merged by the caller.
SELECT id, status, queue, name FROM runs INDEXED BY runs_by_status
WHERE fresh = 0 AND status = :status AND id < :before ORDER BY id DESC
