-- A piece of a run's events, measured before: small enough that nobody waits for it. With a kind, only those.
DELETE FROM run_events WHERE run = :run AND seq > :after AND seq <= :to AND (:kind IS NULL OR kind = :kind)
