-- What has ended and was not filed yet, at the start.
-- scan: looks through what is queued and runs, once, at the start
SELECT id, ended_at, keep FROM runs INDEXED BY runs_fresh WHERE fresh = 1 AND status NOT IN ('queued', 'running')
