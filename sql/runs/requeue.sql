-- An interrupted attempt is followed by the next one, at once; one that could not be started for want of something by one
-- that is let in later.
UPDATE runs
SET status = 'queued', ready = :not_before IS NULL, attempt = attempt + 1, started_at = NULL,
    output_bytes = :output_bytes, error = :error, not_before = COALESCE(:not_before, not_before)
WHERE id = :id
