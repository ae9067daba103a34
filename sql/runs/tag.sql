-- Adds a tag to the index of tags.
INSERT OR IGNORE INTO run_tags (tag, run) VALUES (:tag, :run)
