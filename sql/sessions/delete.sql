-- Revoked or logged out.
DELETE FROM sessions WHERE id = :id
