-- Appends an event. The one place where a seq is assigned: the next of its run, found by the index.
INSERT INTO run_events (id, run, seq, at, kind, stream, data)
VALUES (:id, :run, (SELECT COALESCE(MAX(seq), 0) + 1 FROM run_events WHERE run = :run), :at, :kind, :stream, :data)
RETURNING seq
