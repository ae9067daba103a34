-- How the newest runs of a job have ended, the newest first. Of those that are not filed yet only the newest are looked at:
-- as many may be queued as the configuration allows.
-- scan: of those newest
-- sort: merges them with the others
SELECT id, status, ended_at FROM (
  SELECT id, status, ended_at FROM runs INDEXED BY runs_of_job WHERE fresh = 1 AND job = :job ORDER BY id DESC LIMIT :rows
) WHERE ended_at IS NOT NULL
UNION ALL
SELECT id, status, ended_at FROM runs INDEXED BY runs_by_job WHERE fresh = 0 AND job = :job
ORDER BY id DESC LIMIT :rows
