-- A job's runs that are on their way, oldest first. What has ended and was not filed yet is sifted out.
SELECT id, status, held_by, scheduled_for FROM runs
WHERE job = :job AND fresh = 1 AND status IN ('queued', 'running') ORDER BY id
