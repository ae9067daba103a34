-- When the first queued run's time to start is over.
SELECT MIN(start_before) FROM runs WHERE status = 'queued' AND start_before IS NOT NULL
