-- How many artifacts a run left, and their bytes.
UPDATE runs SET artifacts = :artifacts, artifact_bytes = :bytes WHERE id = :run
