-- A piece of output.
INSERT INTO output (key, id, at, stream, data) VALUES (:event_key, :id, :at, :stream, :data)
