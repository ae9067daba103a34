-- Records the attempt's process: together these tell it from every other process that ever had its pid.
UPDATE attempts
SET pid = :pid, start_ticks = :start_ticks, boot_id = :boot_id
WHERE run = :run AND attempt = :attempt
