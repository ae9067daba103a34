-- The clock was wrong and was set: moves the times of the keys that were made meanwhile.
-- scan: all keys, once, when a clock is put right
UPDATE idempotency_keys
SET created_at = created_at + :by, expires_at = expires_at + :by
WHERE created_at BETWEEN :from AND :to
