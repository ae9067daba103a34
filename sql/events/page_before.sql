-- A page of a run's events before a seq, newest first, for the last lines of its log. Events of every kind count as
-- rows, so that a page is bounded.
SELECT id, seq, at, kind, stream, data FROM run_events WHERE run = :run AND seq < :before ORDER BY seq DESC LIMIT :rows
