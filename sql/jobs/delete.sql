-- Removes a job; its runs and firings stay until they expire.
DELETE FROM jobs WHERE name = :name
