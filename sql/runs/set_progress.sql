-- The newest progress, so that a list need not look for it among the events.
UPDATE runs SET progress = :data WHERE id = :id
