-- Held runs by queue, at the start: those that their time holds, and those that only something else holds.
-- scan: counts what is held back, once, at the start
-- sort: groups the handful of queue names
SELECT queue, COUNT(*)
FROM (SELECT queue FROM runs INDEXED BY runs_due WHERE status = 'queued' AND held_by & 1 = 1
      UNION ALL
      SELECT queue FROM runs INDEXED BY runs_waiting WHERE status = 'queued' AND held_by > 0 AND held_by & 1 = 0)
GROUP BY queue
