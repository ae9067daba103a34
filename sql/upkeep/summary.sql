-- What a copy holds, for the one who made it.
-- scan: counts every run and session, and looks through all events' ids, once a copy
SELECT
  (SELECT value FROM meta WHERE key = 'instance') AS instance,
  (SELECT COUNT(*) FROM runs) AS runs,
  (SELECT COUNT(*) FROM runs WHERE status = 'queued') AS queued,
  (SELECT COUNT(*) FROM sessions) AS sessions,
  MAX((SELECT value FROM meta WHERE key = 'removed_run_id'), COALESCE((SELECT MAX(id) FROM runs), 0)) AS last_run,
  MAX((SELECT value FROM meta WHERE key = 'removed_event_id'), COALESCE((SELECT MAX(id) FROM run_events), 0)) AS last_event,
  (SELECT at FROM (SELECT at, MAX(id) FROM run_events)) AS last_at
