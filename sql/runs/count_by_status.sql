-- The counts at the start; afterwards they are kept, not counted. Walks the whole of a covering index once.
-- scan: counts every run, once, at the start
SELECT status, COUNT(*) FROM runs GROUP BY status
