-- The run is gone, its events follow in pieces.
INSERT OR IGNORE INTO doomed_runs (run) VALUES (:run)
