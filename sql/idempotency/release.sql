-- Its run is removed: the key expires now, but a day after it was made at the earliest.
UPDATE idempotency_keys SET expires_at = MAX(created_at + 86400000, :now) WHERE run = :run
