-- A piece of the keys whose time is up.
DELETE FROM idempotency_keys
WHERE key IN (SELECT key FROM idempotency_keys WHERE expires_at <= :now ORDER BY expires_at LIMIT :rows)
