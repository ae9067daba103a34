-- What a reader of events needs to know of a run: where it stands, which seqs there are, and which the quota took. A seq is
-- 0 where there is no event.
SELECT status, reason, exit_code, signal, error,
       MIN(COALESCE((SELECT MIN(key) FROM events WHERE key BETWEEN runs.id << 32 AND runs.id << 32 | 4294967295), runs.id + 1 << 32),
                    COALESCE((SELECT MIN(key) FROM output WHERE key BETWEEN runs.id << 32 AND runs.id << 32 | 4294967295), runs.id + 1 << 32))
         & 4294967295 AS first_seq,
       MAX(COALESCE((SELECT MAX(key) FROM events WHERE key BETWEEN runs.id << 32 AND runs.id << 32 | 4294967295), 0),
           COALESCE((SELECT MAX(key) FROM output WHERE key BETWEEN runs.id << 32 AND runs.id << 32 | 4294967295), 0))
         & 4294967295 AS last_seq,
       trimmed_runs.after_seq AS trimmed_after,
       trimmed_runs.to_seq AS trimmed_to,
       trimmed_runs.events AS trimmed_events,
       trimmed_runs.lines AS trimmed_lines,
       trimmed_runs.bytes AS trimmed_bytes
FROM runs LEFT JOIN trimmed_runs ON trimmed_runs.run = runs.id
WHERE runs.id = :id
