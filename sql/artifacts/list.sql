-- What a run left, by name. There are 1,000 at most.
SELECT name, bytes, sha256, modified_at FROM artifacts WHERE run = :run ORDER BY name
