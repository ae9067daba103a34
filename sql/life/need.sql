-- A run that waits needs this one: retention spares it.
UPDATE runs SET keep = keep | 2 WHERE id = :id
