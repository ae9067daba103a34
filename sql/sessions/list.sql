-- Every session, newest first.
-- scan: bounded by the caller's limit
SELECT id, name, role, ttl_s, address, created_at, last_used_at, expires_at FROM sessions
WHERE expires_at IS NULL OR expires_at > :now
ORDER BY id DESC
LIMIT :rows
