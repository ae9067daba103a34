-- Whether a time of a job is written down.
SELECT 1 FROM firings WHERE job = :job AND scheduled_for = :scheduled_for
