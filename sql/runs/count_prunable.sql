-- How many runs retention may remove of those that were filed, at the start; afterwards it is kept, not counted.
SELECT COUNT(*) FROM runs INDEXED BY runs_ended WHERE ended_at IS NOT NULL AND fresh = 0 AND keep = 0
