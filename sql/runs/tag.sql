-- Makes a run findable by a tag.
INSERT OR IGNORE INTO run_tags (tag, run) VALUES (:tag, :run)
