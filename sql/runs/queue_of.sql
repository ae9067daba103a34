-- Where a run waits or ran, for readers of one queue's events.
SELECT queue FROM runs WHERE id = :id
