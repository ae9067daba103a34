-- An interrupted attempt is followed by the next one.
UPDATE runs
SET status = 'queued', ready = 1, attempt = attempt + 1, started_at = NULL, output_bytes = :output_bytes
WHERE id = :id
