-- The clock was wrong and was set: moves the times of the cursors that were put meanwhile.
-- scan: all cursors, once, when a clock is put right; there are 1,000 at most
UPDATE cursors
SET created_at = IIF(created_at BETWEEN :from AND :to, created_at + :by, created_at), moved_at = moved_at + :by
WHERE moved_at BETWEEN :from AND :to
