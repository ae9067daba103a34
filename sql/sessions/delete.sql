-- Deletes a session that is revoked or logged out.
DELETE FROM sessions WHERE id = :id
