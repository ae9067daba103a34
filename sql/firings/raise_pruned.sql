-- Up to this time no firing of the job is written again.
UPDATE jobs SET pruned_at = MAX(pruned_at, :scheduled_for) WHERE name = :job
