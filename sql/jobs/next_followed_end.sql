-- The first run that ended whose followers were not started yet.
SELECT MIN(run) FROM followed_ends
