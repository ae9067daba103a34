-- The clock was wrong and was set: moves the times of the sessions that were made meanwhile.
-- scan: all sessions, once, when a clock is put right
UPDATE sessions
SET created_at = created_at + :by, last_used_at = last_used_at + :by, expires_at = expires_at + :by
WHERE created_at BETWEEN :from AND :to
