-- What has become due takes its place among the ready, a piece at a time. The index is named, or SQLite would take the
-- one by status and sort everything that is queued.
UPDATE runs
SET ready = 1
WHERE id IN (SELECT id FROM runs INDEXED BY runs_due
             WHERE status = 'queued' AND ready = 0 AND not_before <= :now
             ORDER BY not_before
             LIMIT 500)
RETURNING id, queue
