-- The jobs that others follow.
SELECT DISTINCT after_job FROM jobs WHERE after_job IS NOT NULL
