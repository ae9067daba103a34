-- Every queue, at the start.
-- scan: all queues, once, at the start
SELECT name, slots, paused, limits, survive FROM queues ORDER BY name
