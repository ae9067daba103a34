-- What the database says is running, at the start.
-- scan: looks through what is queued and runs, once, at the start
SELECT id, queue, attempt, cancel_requested_at, pid, start_ticks, boot_id, options, keeper, stdin, output_bytes
FROM runs INDEXED BY runs_fresh
WHERE fresh = 1 AND status = 'running'
