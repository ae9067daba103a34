-- Withdrawn.
DELETE FROM enrollment_tokens WHERE id = :id
