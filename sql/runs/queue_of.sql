-- A run's queue, for readers of one queue's events.
SELECT queue FROM runs WHERE id = :id
