-- How much output a run has so far: for what a dead daemon left running. Reads lengths, not contents.
SELECT COALESCE(SUM(octet_length(data)), 0) FROM run_events WHERE run = :run AND kind = 'output'
