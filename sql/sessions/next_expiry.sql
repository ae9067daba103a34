-- When the next session expires.
SELECT MIN(expires_at) FROM sessions WHERE expires_at IS NOT NULL
