-- The size of a run's output, and its size when each event counts at least :least, for runs that a dead daemon left.
-- Reads lengths, not contents.
SELECT COALESCE(SUM(octet_length(data)), 0), COALESCE(SUM(MAX(octet_length(data), :least)), 0)
FROM output
WHERE key BETWEEN :first AND :last
