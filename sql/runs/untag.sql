-- The reverse of tag.sql.
DELETE FROM run_tags WHERE tag = :tag AND run = :run
