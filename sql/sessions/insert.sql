-- Adds a session; only the hash of its token is stored. Its id is above every id that was ever given out.
INSERT INTO sessions (id, token_sha256, name, role, jobs, ttl_s, address, agent, created_at, last_used_at, expires_at)
VALUES (1 + MAX((SELECT value FROM meta WHERE key = 'last_session_id'), (SELECT COALESCE(MAX(id), 0) FROM sessions)),
        :token_sha256, :name, :role, :jobs, :ttl_s, :address, :agent, :now, :now, :expires_at)
RETURNING id
