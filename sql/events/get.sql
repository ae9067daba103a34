-- One event by its id, once it has passed the filter.
SELECT id, seq, at, kind, stream, data FROM run_events WHERE id = :id
