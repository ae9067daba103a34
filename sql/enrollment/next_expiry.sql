-- When the next token goes.
SELECT MIN(expires_at) FROM enrollment_tokens
