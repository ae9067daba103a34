-- What has become due takes its place among the ready, a piece at a time.
UPDATE runs
SET ready = 1
WHERE id IN (SELECT id FROM runs
             WHERE status = 'queued' AND ready = 0 AND not_before <= :now
             ORDER BY not_before
             LIMIT 500)
RETURNING queue
