-- Candidates of a list by job, newest first: of what was filed and of the rest, each by its own index.
SELECT id, status, queue, name FROM runs INDEXED BY runs_of_job WHERE fresh = 1 AND job = :job AND id < :before
UNION ALL
SELECT id, status, queue, name FROM runs INDEXED BY runs_by_job WHERE fresh = 0 AND job = :job AND id < :before
ORDER BY id DESC
