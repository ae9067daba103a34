-- Frees one hold of a run; other holds stay.
UPDATE runs SET held_by = held_by & ~:hold WHERE id = :id RETURNING queue, held_by
