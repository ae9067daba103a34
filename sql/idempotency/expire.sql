-- Removes a piece of the expired keys.
DELETE FROM idempotency_keys
WHERE key IN (SELECT key FROM idempotency_keys WHERE expires_at <= :now ORDER BY expires_at LIMIT :rows)
