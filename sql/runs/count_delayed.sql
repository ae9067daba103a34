-- How many of each queue wait for their time, at the start. The index is by time, hence the grouping.
-- scan: counts what is delayed, once, at the start
-- sort: groups the handful of queue names
SELECT queue, COUNT(*) FROM runs INDEXED BY runs_due WHERE status = 'queued' AND ready = 0 GROUP BY queue
