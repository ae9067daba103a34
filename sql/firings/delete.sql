-- Removes a firing.
DELETE FROM firings WHERE job = :job AND scheduled_for = :scheduled_for
