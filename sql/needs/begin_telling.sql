-- A run that others need has ended: each of them is still to be told.
INSERT OR IGNORE INTO ends_to_tell (run) VALUES (:run)
