-- When the next delayed run is due: the index's first entry. The index is named: without statistics SQLite takes the
-- one by status and walks everything that is queued.
SELECT MIN(not_before) FROM runs INDEXED BY runs_due WHERE status = 'queued' AND held_by & 3 > 0
