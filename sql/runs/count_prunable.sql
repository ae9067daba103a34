-- The number of runs that retention may remove, at the start; afterwards it is kept in memory.
SELECT COUNT(*) FROM runs INDEXED BY runs_ended WHERE ended_at IS NOT NULL AND keep = 0
