-- Records an attempt, before its process exists.
INSERT INTO attempts (run, attempt, started_at) VALUES (:run, :attempt, :now)
