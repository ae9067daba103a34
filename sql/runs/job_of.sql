-- A run's job, for those who may start that job and nothing else.
SELECT job FROM runs WHERE id = :id
