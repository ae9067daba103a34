-- How many are to be moved, at most, for whoever reads the log: counted by ids.
SELECT MAX(id) - MIN(id) + 1 FROM run_events_before
