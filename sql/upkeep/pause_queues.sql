-- What was queued in a restored copy may have run since.
-- scan: all of them, once a restore
UPDATE queues SET paused = 1
