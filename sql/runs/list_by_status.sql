-- Candidates of a list by one status, newest first; several are merged by the caller.
SELECT id, status, queue, name FROM runs WHERE status = :status AND id < :before ORDER BY id DESC
