-- An attempt is on the medium before its process exists.
INSERT INTO attempts (run, attempt, started_at) VALUES (:run, :attempt, :now)
