-- Candidates of a list by tag, newest first: the tag's index gives the order, the run is looked up.
SELECT runs.id, runs.status, runs.queue, runs.name
FROM run_tags CROSS JOIN runs ON runs.id = run_tags.run
WHERE run_tags.tag = :tag AND run_tags.run < :before
ORDER BY run_tags.run DESC
