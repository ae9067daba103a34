-- One event by its id, once the filter lets it through.
SELECT id, seq, at, kind, stream, data FROM run_events WHERE id = :id
