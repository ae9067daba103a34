-- Removes a piece of a run's events, which the caller has measured; with :kind only those of that kind.
DELETE FROM run_events WHERE run = :run AND seq > :after AND seq <= :to AND (:kind IS NULL OR kind = :kind)
