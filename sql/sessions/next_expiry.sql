-- When the next session goes.
SELECT MIN(expires_at) FROM sessions WHERE expires_at IS NOT NULL
