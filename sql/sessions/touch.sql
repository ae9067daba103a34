-- Records a session's use and its new expiry, in a commit that happens anyway.
UPDATE sessions SET last_used_at = :last_used_at, expires_at = :expires_at WHERE id = :id
