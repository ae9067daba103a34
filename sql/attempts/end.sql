-- Records how an attempt ended.
UPDATE attempts
SET ended_at = :now, exit_code = :exit_code, signal = :signal, reason = :reason
WHERE run = :run AND attempt = :attempt
