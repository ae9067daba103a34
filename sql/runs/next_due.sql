-- When the next delayed run becomes due: the first of the index, which has to be named. Left to itself SQLite takes
-- the one by status, which looks promising without statistics, and walks everything that is queued.
SELECT MIN(not_before) FROM runs INDEXED BY runs_due WHERE status = 'queued' AND held_by & 1 = 1
