-- An attempt is over and another follows, which takes its place in the run's row.
INSERT INTO past_attempts (run, attempt, pid, start_ticks, boot_id, started_at, ended_at, exit_code, signal, reason)
SELECT id, attempt, pid, start_ticks, boot_id, started_at, :now, :exit_code, :signal, :reason FROM runs WHERE id = :run
