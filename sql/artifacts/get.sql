-- One artifact of a run.
SELECT name, bytes, sha256, modified_at FROM artifacts WHERE run = :run AND name = :name
