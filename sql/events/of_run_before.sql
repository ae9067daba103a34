-- The same from the newest down.
SELECT seq, id, kind FROM run_events WHERE run = :run AND seq < :before ORDER BY seq DESC LIMIT :rows
