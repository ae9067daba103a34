-- One event by its id, once the filter lets it through.
SELECT id, seq, at, kind, NULL AS stream, data FROM events WHERE id = :id
