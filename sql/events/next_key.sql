-- The one place where a seq is assigned: the next of its run, behind the newest of its events and of its output. The key
-- is run << 32 | seq; a run whose seqs are used up gets one that no table takes.
SELECT 1 + MAX(:run << 32,
               COALESCE((SELECT MAX(key) FROM events WHERE key BETWEEN :run << 32 AND :run << 32 | 4294967295), 0),
               COALESCE((SELECT MAX(key) FROM output WHERE key BETWEEN :run << 32 AND :run << 32 | 4294967295), 0))
