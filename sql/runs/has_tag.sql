-- Whether a run carries a tag, where another filter leads the list.
SELECT 1 FROM run_tags WHERE tag = :tag AND run = :run
