-- How much output of a run is there, and how much where none counts less than :least: for what a dead daemon left
-- running. Reads lengths, not contents.
SELECT COALESCE(SUM(octet_length(data)), 0), COALESCE(SUM(MAX(octet_length(data), :least)), 0)
FROM run_events
WHERE run = :run AND kind = 'output'
