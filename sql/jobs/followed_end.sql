-- Notes that a run ended whose job others follow.
INSERT INTO followed_ends (run) VALUES (:run) ON CONFLICT DO NOTHING
