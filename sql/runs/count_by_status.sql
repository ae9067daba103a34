-- Runs by status, at the start; afterwards the counts are kept in memory. Walks a covering index once.
-- scan: counts every run, once, at the start
SELECT status, COUNT(*) FROM runs GROUP BY status
