-- Whether a run was tried again by another one.
SELECT 1 FROM runs WHERE retry_of = :id
