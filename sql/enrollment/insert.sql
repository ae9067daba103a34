-- Adds an enrollment token, of which only the hash is stored. Its id is above every id that was ever given out.
INSERT INTO enrollment_tokens (id, token_sha256, role, jobs, label, max_uses, uses, session_ttl_s, created_at, expires_at)
VALUES (1 + MAX((SELECT value FROM meta WHERE key = 'last_enrollment_token_id'),
                (SELECT COALESCE(MAX(id), 0) FROM enrollment_tokens)),
        :token_sha256, :role, :jobs, :label, :max_uses, 0, :session_ttl_s, :now, :expires_at)
RETURNING id
