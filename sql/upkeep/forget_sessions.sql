-- Nobody is let in by a restored copy where that was asked for.
-- scan: all of them go, once a restore
DELETE FROM sessions
