-- Removes an empty queue.
DELETE FROM queues WHERE name = :name
