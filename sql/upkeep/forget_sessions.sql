-- Removes all sessions from a restored copy, on request.
DELETE FROM sessions
