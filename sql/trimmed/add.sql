-- Adds to what the output quota has removed of a run, in the transaction that removes it.
INSERT INTO trimmed_runs (run, after_seq, to_seq, events, bytes)
VALUES (:run, :after_seq, :to_seq, :events, :bytes)
ON CONFLICT (run) DO UPDATE
SET to_seq = excluded.to_seq, events = events + excluded.events, bytes = bytes + excluded.bytes
