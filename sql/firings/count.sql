-- How many firings there are.
-- scan: at the start, after a rollback, and when some were removed
SELECT COUNT(*) FROM firings
