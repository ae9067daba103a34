-- A piece of a run's events, measured before: small enough that nobody waits for it.
DELETE FROM events WHERE key > :after AND key <= :to
