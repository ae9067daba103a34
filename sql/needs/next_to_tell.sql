-- The next end that somebody is still to be told of; the status is null where nobody needed the run any more and it is gone.
-- scan: takes the first row
SELECT ends_to_tell.run, runs.status
FROM ends_to_tell LEFT JOIN runs ON runs.id = ends_to_tell.run
ORDER BY ends_to_tell.run
LIMIT 1
