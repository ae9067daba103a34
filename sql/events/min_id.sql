-- The oldest event that is still there: no run begins with output.
SELECT MIN(id) FROM events
