-- Nobody is let in by a restored copy where that was asked for.
DELETE FROM sessions
