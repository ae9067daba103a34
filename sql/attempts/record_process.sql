-- What tells the attempt's process from every other that ever had its pid.
UPDATE runs
SET pid = :pid, start_ticks = :start_ticks, boot_id = :boot_id
WHERE id = :run AND attempt = :attempt
