-- A queued run becomes what another submit of its key says, and keeps its number and its place behind others of the key.
UPDATE runs
SET name = :name, queue = :queue, priority = :priority, held_by = :held_by, tags = :tags, command = :command,
    script = :script, cwd = :cwd, env = :env, stdin = :stdin, timeout_s = :timeout_s, not_before = :not_before,
    on_interrupt = :on_interrupt, keep = keep & 2 | :keep, options = :options,
    start_before = :start_before
WHERE id = :id
