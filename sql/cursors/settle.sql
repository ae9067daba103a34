-- No cursor is beyond the newest event, or what comes next would count as read.
-- scan: all cursors, at a start that found one; there are 1,000 at most
UPDATE cursors SET id = :last WHERE id > :last
