-- Removes a piece of the expired tokens.
DELETE FROM enrollment_tokens
WHERE id IN (SELECT id FROM enrollment_tokens WHERE expires_at <= :now ORDER BY expires_at LIMIT :rows)
