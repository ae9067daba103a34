-- A session; the token itself is never stored.
INSERT INTO sessions (token_sha256, name, role, ttl_s, address, created_at, last_used_at, expires_at)
VALUES (:token_sha256, :name, :role, :ttl_s, :address, :now, :now, :expires_at)
RETURNING id
