-- Ready runs by queue, at the start.
-- scan: counts what is queued, once, at the start
SELECT queue, COUNT(*) FROM runs INDEXED BY runs_claim WHERE status = 'queued' AND held_by = 0 GROUP BY queue
