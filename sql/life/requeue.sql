-- An interrupted attempt is followed by the next one, at once; one that could not be started for want of something by one
-- that its time holds back.
UPDATE runs
SET status = 'queued', held_by = :held_by, attempt = attempt + 1, started_at = NULL,
    output_bytes = :output_bytes, error = :error, not_before = COALESCE(:not_before, not_before)
WHERE id = :id
