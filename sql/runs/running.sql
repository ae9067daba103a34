-- The running attempts, at the start.
SELECT runs.id, runs.queue, runs.attempt, runs.cancel_requested_at, attempts.pid, attempts.start_ticks, attempts.boot_id
FROM runs LEFT JOIN attempts ON attempts.run = runs.id AND attempts.attempt = runs.attempt
WHERE runs.status = 'running'
ORDER BY runs.id
