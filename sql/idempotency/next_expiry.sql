-- When the next key expires.
SELECT MIN(expires_at) FROM idempotency_keys WHERE expires_at IS NOT NULL
