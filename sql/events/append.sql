-- An event that is no output.
INSERT INTO events (id, key, at, kind, data) VALUES (:id, :event_key, :at, :kind, :data)
