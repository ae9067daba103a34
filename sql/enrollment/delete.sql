-- Deletes an enrollment token.
DELETE FROM enrollment_tokens WHERE id = :id
