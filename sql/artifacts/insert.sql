-- One artifact of a run.
INSERT INTO artifacts (run, name, bytes, sha256, modified_at) VALUES (:run, :name, :bytes, :sha256, :modified_at)
