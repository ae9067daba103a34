-- A job's newest run.
SELECT id, status, scheduled_for, ended_at FROM runs
WHERE id = MAX(COALESCE((SELECT MAX(id) FROM runs WHERE job = :job AND fresh = 1), 0),
               COALESCE((SELECT MAX(id) FROM runs WHERE job = :job AND fresh = 0), 0))
