-- A clock that was wrong was put right: what was made meanwhile lives as long as it was to.
-- scan: all tokens, once, when a clock is put right
UPDATE enrollment_tokens
SET created_at = created_at + :by, expires_at = expires_at + :by
WHERE created_at BETWEEN :from AND :to
