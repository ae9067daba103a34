-- Frees the holds `time` and `retry` of a piece of the runs that are due; other holds stay. The index is named, or SQLite
-- would take the one by status and sort everything that is queued.
UPDATE runs
SET held_by = held_by & ~3
WHERE id IN (SELECT id FROM runs INDEXED BY runs_due
             WHERE status = 'queued' AND held_by & 3 > 0 AND not_before <= :now
             ORDER BY not_before
             LIMIT 500)
RETURNING id, queue, held_by
