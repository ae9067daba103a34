-- Ends a run; nothing changes its outcome afterwards.
UPDATE runs
SET status = :status, reason = :reason, exit_code = :exit_code, signal = :signal, error = :error,
    output_bytes = :output_bytes, usage = :usage, ended_at = :now, held_by = 0
WHERE id = :id
