-- The next run that goes where there are too many, or too little room: the one that ended first. The index is named, or
-- SQLite might sort.
SELECT id FROM runs INDEXED BY runs_ended WHERE ended_at IS NOT NULL AND fresh = 0 AND keep = 0 ORDER BY ended_at, id LIMIT 1
