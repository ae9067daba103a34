-- Use renews a session; carried by a commit that happens anyway.
UPDATE sessions SET last_used_at = :last_used_at, expires_at = :expires_at WHERE id = :id
