-- All tokens that have not expired, used or not, newest first.
-- scan: bounded by the caller's limit
SELECT id, role, jobs, label, max_uses, uses, session_ttl_s, created_at, expires_at FROM enrollment_tokens
WHERE expires_at > :now
ORDER BY id DESC
LIMIT :rows
