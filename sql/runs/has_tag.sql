-- Whether a run has a tag, for a list that is led by another filter.
SELECT 1 FROM run_tags WHERE tag = :tag AND run = :run
