-- A need has come true.
UPDATE needs SET met = 1 WHERE needed = :needed AND met = 0 AND run = :run
