-- The attempts of a run that goes.
DELETE FROM attempts WHERE run = :run
