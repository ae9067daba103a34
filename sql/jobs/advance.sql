-- Notes up to when a job's times are accounted for, and when it is due next.
UPDATE jobs
SET accounted_at = :accounted_at, highest_at = MAX(highest_at, :fired_at), next_at = :next_at
WHERE name = :name
