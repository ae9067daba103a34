-- What made a session, in its own words: browsers that were let in by one sort of link are told apart by it. Sessions of
-- before have none.
ALTER TABLE sessions ADD COLUMN agent TEXT;
