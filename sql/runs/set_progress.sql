-- Stores the newest progress, so that lists need not search the events for it.
UPDATE runs SET progress = :data WHERE id = :id
