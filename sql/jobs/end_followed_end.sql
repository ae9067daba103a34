-- The followers of a run were started.
DELETE FROM followed_ends WHERE run = :run
