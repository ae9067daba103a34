-- How many deliveries of each hook are to be sent.
-- scan: at the start, after a rollback, and where there are as many as there may be and none is over; of an index alone
SELECT hook, COUNT(*) FROM hook_deliveries WHERE status = 'pending' GROUP BY hook
