-- The jobs that follow one.
SELECT name FROM jobs WHERE after_job = :job ORDER BY name
