-- Submits a run, with what holds it back.
INSERT INTO runs (id, status, name, queue, priority, held_by, tags, command, script, cwd, env, stdin, timeout_s,
                  not_before, on_interrupt, keep, attempt, output_bytes, created_at, retry_of, options, cause, job,
                  scheduled_for, missed, key, start_before, fresh)
VALUES (:id, 'queued', :name, :queue, :priority, :held_by, :tags, :command, :script, :cwd, :env, :stdin, :timeout_s,
        :not_before, :on_interrupt, :keep, 1, 0, :created_at, :retry_of, :options, :cause, :job,
        :scheduled_for, :missed, :key, :start_before, 1)
