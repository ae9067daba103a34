-- A run that has ended leaves the index of what is queued and runs for those by which lists and retention find it: with
-- others, so that their pages are written once for all of them.
UPDATE runs SET fresh = 0 WHERE id = :id
