-- One piece of output by its key, once the filter lets it through.
SELECT id, seq, at, 'output' AS kind, stream, data FROM output WHERE key = :event_key
