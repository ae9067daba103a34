-- The counts at the start, of what has ended and was filed; afterwards they are kept, not counted. Walks the whole of a
-- covering index once.
-- scan: counts every run, once, at the start
SELECT status, COUNT(*) FROM runs INDEXED BY runs_by_status WHERE fresh = 0 GROUP BY status
