-- How many of each queue wait, are held back, run, or have just ended, at the start. Walks the whole of a covering index.
-- scan: counts what is queued and runs, once, at the start
SELECT queue, status, held_by, COUNT(*) FROM runs INDEXED BY runs_fresh WHERE fresh = 1 GROUP BY queue, status, held_by
