-- Its run goes: from now on the key has a time to go, a day after it was made at the earliest.
UPDATE idempotency_keys SET expires_at = MAX(created_at + 86400000, :now) WHERE run = :run
