-- Nobody needs this run any more: retention takes it in its turn.
UPDATE runs SET keep = keep & 1 WHERE id = :id RETURNING status, queue, held_by, keep, ended_at
