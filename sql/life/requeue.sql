-- Queues a run again after an attempt: ready, or held back where it could not be started for lack of resources, or failed
-- and waits to be tried again.
UPDATE runs
SET status = 'queued', held_by = :held_by, attempt = attempt + 1, started_at = NULL, pid = NULL, start_ticks = NULL,
    boot_id = NULL, keeper = NULL, output_bytes = :output_bytes, error = :error, failures = :failures, not_before = COALESCE(:not_before, not_before)
WHERE id = :id
