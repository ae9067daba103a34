-- Changes a run. The caller has read the row in the same transaction and gives every value. Whether others need it stays.
UPDATE runs
SET name = :name, tags = :tags, keep = keep & 2 | :keep, queue = :queue, priority = :priority, timeout_s = :timeout_s,
    not_before = :not_before, held_by = :held_by, options = :options
WHERE id = :id
