-- The clock was wrong and was set: moves the times of the tokens that were made meanwhile.
-- scan: all tokens, once, when a clock is put right
UPDATE enrollment_tokens
SET created_at = created_at + :by, expires_at = expires_at + :by
WHERE created_at BETWEEN :from AND :to
