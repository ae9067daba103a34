-- Removes the attempts of a run that is removed.
DELETE FROM attempts WHERE run = :run
