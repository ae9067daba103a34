-- The row of a finished run; its events are removed by the caller.
DELETE FROM runs WHERE id = :id
