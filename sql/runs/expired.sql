-- Queued runs whose time to start is over, some at once. The index is named, as in life/admit.
SELECT id FROM runs INDEXED BY runs_expire
WHERE status = 'queued' AND start_before IS NOT NULL AND start_before <= :now ORDER BY start_before LIMIT 500
