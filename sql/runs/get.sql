-- One run as it stands. last_seq is looked up by index, since output must not write to runs.
SELECT id, status, reason, name, queue, priority, tags, command, script, cwd, env, stdin, timeout_s, not_before,
       on_interrupt, keep, options, attempt, exit_code, signal, error, progress, held_by, output_bytes, artifacts, artifact_bytes,
       created_at, started_at, ended_at, cancel_requested_at, retry_of, cause, job, scheduled_for, missed, key, failures, usage,
       MAX(COALESCE((SELECT MAX(key) FROM events WHERE key BETWEEN runs.id << 32 AND runs.id << 32 | 4294967295), 0),
           COALESCE((SELECT MAX(key) FROM output WHERE key BETWEEN runs.id << 32 AND runs.id << 32 | 4294967295), 0))
         & 4294967295 AS last_seq,
       IIF(status = 'running', pid, NULL) AS pid
FROM runs
WHERE id = :id
