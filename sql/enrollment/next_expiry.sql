-- When the next token expires.
SELECT MIN(expires_at) FROM enrollment_tokens
