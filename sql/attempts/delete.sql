-- The past attempts of a run that goes; the last one goes with its row.
DELETE FROM past_attempts WHERE run = :run
