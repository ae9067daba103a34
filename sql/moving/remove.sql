-- The piece was moved.
DELETE FROM run_events_before WHERE id <= :to
