-- Marks a removed run's events for removal in pieces.
INSERT OR IGNORE INTO doomed_runs (run) VALUES (:run)
