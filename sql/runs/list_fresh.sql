-- Candidates of a list by status or queue among what is queued, runs or has just ended, the newest of them. Either filter
-- may be null; :status is a list with a comma on each side of each.
-- scan: looks through what is queued and runs, of which there are so many as the configuration allows, and no more
-- sort: keeps the newest of them alone
SELECT id, status, queue, name FROM runs
WHERE id IN (SELECT id FROM runs INDEXED BY runs_fresh
             WHERE fresh = 1 AND id < :before AND (:queue IS NULL OR queue = :queue)
               AND (:status IS NULL OR instr(:status, ',' || status || ','))
             ORDER BY id DESC
             LIMIT :rows)
ORDER BY id DESC
