-- Adds to what the output quota has removed of a run, in the transaction that removes it. What was not counted before
-- stays unknown.
INSERT INTO trimmed_runs (run, after_seq, to_seq, events, lines, bytes)
VALUES (:run, :after_seq, :to_seq, :events, :lines, :bytes)
ON CONFLICT (run) DO UPDATE
SET to_seq = excluded.to_seq, events = events + excluded.events, lines = lines + excluded.lines,
    bytes = bytes + excluded.bytes
