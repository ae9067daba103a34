-- How many deliveries of a hook there are of each status.
SELECT status, COUNT(*) FROM hook_deliveries WHERE hook = :hook GROUP BY status
