-- What tells the attempt's process from every other that ever had its pid.
UPDATE attempts
SET pid = :pid, start_ticks = :start_ticks, boot_id = :boot_id
WHERE run = :run AND attempt = :attempt
