-- Everybody was told of a run's end.
DELETE FROM ends_to_tell WHERE run = :run
