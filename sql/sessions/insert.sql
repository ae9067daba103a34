-- A session; the token itself is never stored. Its id was never given out before, also if the highest one is gone.
INSERT INTO sessions (id, token_sha256, name, role, ttl_s, address, created_at, last_used_at, expires_at)
VALUES (1 + MAX((SELECT value FROM meta WHERE key = 'last_session_id'), (SELECT COALESCE(MAX(id), 0) FROM sessions)),
        :token_sha256, :name, :role, :ttl_s, :address, :now, :now, :expires_at)
RETURNING id
