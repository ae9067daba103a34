-- Makes or changes a job.
INSERT INTO jobs (name, definition, after_job, version, created_at, changed_at, accounted_at, highest_at, next_at)
VALUES (:name, :definition, :after_job, :version, :now, :now, :accounted_at, :highest_at, :next_at)
ON CONFLICT (name) DO UPDATE
SET definition = excluded.definition, after_job = excluded.after_job, version = excluded.version,
    changed_at = excluded.changed_at, accounted_at = excluded.accounted_at,
    highest_at = excluded.highest_at, next_at = excluded.next_at
