-- What a submit says that no statement searches by, as one JSON object: a field of it takes no column of its own. Without a
-- CHECK, for which every row would be read.
ALTER TABLE runs ADD COLUMN options TEXT NOT NULL DEFAULT '{}';
