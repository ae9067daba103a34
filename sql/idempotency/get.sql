-- The run that a key stands for.
SELECT run, request_sha256 FROM idempotency_keys WHERE key = :key
