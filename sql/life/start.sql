-- A claim, the one statement that starts an attempt: the first ready run of a queue, by priority, then id. The attempt is
-- on the medium before its process exists, which is known only later.
UPDATE runs
SET status = 'running', started_at = :now, error = NULL
WHERE id = (SELECT id FROM runs
            WHERE fresh = 1 AND queue = :queue AND status = 'queued' AND held_by = 0
            ORDER BY priority DESC, id
            LIMIT 1)
RETURNING id, attempt, command, script, cwd, env, stdin, timeout_s, options, created_at, not_before,
          output_bytes
