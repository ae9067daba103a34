-- The run that ended first, which is removed next when there are too many or there is too little room. The index is
-- named, or SQLite might sort.
SELECT id FROM runs INDEXED BY runs_ended WHERE ended_at IS NOT NULL AND keep = 0 ORDER BY ended_at, id LIMIT 1
