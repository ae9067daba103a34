-- When the next key goes.
SELECT MIN(expires_at) FROM idempotency_keys WHERE expires_at IS NOT NULL
