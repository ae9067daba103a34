-- Makes or changes a queue.
INSERT INTO queues (name, slots, paused, limits, survive) VALUES (:name, :slots, :paused, :limits, :survive)
ON CONFLICT (name) DO UPDATE SET slots = excluded.slots, paused = excluded.paused, limits = excluded.limits,
    survive = excluded.survive
