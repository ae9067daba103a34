-- Makes or changes a queue.
INSERT INTO queues (name, slots, paused) VALUES (:name, :slots, :paused)
ON CONFLICT (name) DO UPDATE SET slots = excluded.slots, paused = excluded.paused
