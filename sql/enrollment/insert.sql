-- An enrollment token; the token itself is never stored.
INSERT INTO enrollment_tokens (token_sha256, role, label, max_uses, uses, session_ttl_s, created_at, expires_at)
VALUES (:token_sha256, :role, :label, :max_uses, 0, :session_ttl_s, :now, :expires_at)
RETURNING id
