-- A job's firings, the newest first.
SELECT scheduled_for, at, run, skipped, count, behind
FROM firings WHERE job = :job AND scheduled_for < :before ORDER BY scheduled_for DESC LIMIT :rows
