-- How many deliveries there are.
-- scan: at the start and after a rollback; there are 10,000 at most
SELECT COUNT(*) FROM hook_deliveries
