-- Pauses all queues of a restored copy, on request: queued runs may have run since.
-- scan: all of them, once a restore
UPDATE queues SET paused = 1
