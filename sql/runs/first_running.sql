-- Of the runs that have a slot of a queue the first: who waits for one waits for it, or for one of the others.
SELECT MIN(id) FROM runs INDEXED BY runs_fresh WHERE fresh = 1 AND queue = :queue AND status = 'running'
