-- The run of a firing was replaced before it began.
UPDATE firings SET skipped = 'replaced', behind = NULL WHERE job = :job AND scheduled_for = :scheduled_for AND run = :run
