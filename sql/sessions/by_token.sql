-- The session of a token.
SELECT id, name, role, jobs, ttl_s, address, agent, created_at, last_used_at, expires_at FROM sessions WHERE token_sha256 = :token_sha256
