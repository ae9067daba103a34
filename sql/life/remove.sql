-- Removes the row of a finished run; the caller removes its events.
DELETE FROM runs WHERE id = :id
