-- One run. last_seq and the pid are looked up by index, since output must not write to runs.
SELECT id, status, reason, name, queue, priority, tags, command, script, cwd, env, stdin, timeout_s, not_before,
       on_interrupt, keep, options, attempt, exit_code, signal, error, progress, held_by, output_bytes, created_at, started_at,
       ended_at, cancel_requested_at, retry_of,
       (SELECT MAX(seq) FROM run_events WHERE run = runs.id) AS last_seq,
       (SELECT pid FROM attempts WHERE run = runs.id AND attempt = runs.attempt AND runs.status = 'running') AS pid
FROM runs
WHERE id = :id
