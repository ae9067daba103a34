-- When the next delayed run becomes due.
SELECT MIN(not_before) FROM runs WHERE status = 'queued' AND ready = 0
