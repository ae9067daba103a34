-- An empty queue goes.
DELETE FROM queues WHERE name = :name
