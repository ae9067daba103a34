-- A page of a run's events before a seq, the newest first: for the last lines of its log. Every kind counts as a row, so
-- that no page walks over more than it may.
SELECT id, seq, at, kind, stream, data FROM run_events WHERE run = :run AND seq < :before ORDER BY seq DESC LIMIT :rows
