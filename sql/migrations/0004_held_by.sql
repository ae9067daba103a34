-- What holds a queued run back is a set of bits, so that freeing one hold never frees another: 1 its time, 2 the wait
-- before it is tried again, 4 runs that have to end first, 8 its key. 0: it is ready.
--
-- The column takes the place of `ready` (1 where nothing held the run back). To write the table anew would take as much
-- room again as all runs have, so that only the text of the CHECK is changed, which rows do not depend on ("Making Other
-- Kinds Of Table Schema Changes" in SQLite's documentation of ALTER TABLE); renaming the column then has the text read
-- again. The only rows that are written are those of runs that are queued or running: of the others none was ready.
DROP INDEX runs_claim;
DROP INDEX runs_due;

PRAGMA writable_schema = ON;
UPDATE sqlite_schema
SET sql = replace(sql, 'CHECK (ready IN (0, 1))', 'CHECK (ready BETWEEN 0 AND 15 AND (ready = 0 OR status = ''queued''))')
WHERE type = 'table' AND name = 'runs';
PRAGMA writable_schema = OFF;
ALTER TABLE runs RENAME COLUMN ready TO held_by;
UPDATE runs SET held_by = (status = 'queued' AND held_by = 0) WHERE status IN ('queued', 'running');

-- A queued run is in one of these three. Those that are held back never stand in front of a claim, nor those that wait
-- for something else in front of what becomes due.
CREATE INDEX runs_claim ON runs (queue, priority DESC, id) WHERE status = 'queued' AND held_by = 0;
CREATE INDEX runs_due ON runs (not_before, queue, held_by) WHERE status = 'queued' AND held_by & 1 = 1;
CREATE INDEX runs_waiting ON runs (queue, held_by) WHERE status = 'queued' AND (held_by > 0 AND held_by & 1 = 0);
