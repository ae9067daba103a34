-- Whether a queued run stands among the ready.
SELECT 1 FROM runs WHERE id = :id AND ready = 1
