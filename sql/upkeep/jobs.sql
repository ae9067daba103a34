-- The jobs, and whether any time of each is written down, for the doctor.
-- scan: looks at each job once
SELECT name, definition, created_at, changed_at, next_at,
       pruned_at > 0 OR EXISTS (SELECT 1 FROM firings WHERE firings.job = jobs.name) AS has_fired
FROM jobs ORDER BY name
