-- Why a queued run waits, beside its time: runs that have to end first, another run of its key, the wait before it is tried
-- again; and where a run came from.
ALTER TABLE runs ADD COLUMN cause TEXT NOT NULL DEFAULT 'submit';
-- Of a run that a job started: the time at which its schedule was due, and how many such times it stands for beside that.
ALTER TABLE runs ADD COLUMN job TEXT;
ALTER TABLE runs ADD COLUMN scheduled_for INTEGER;
ALTER TABLE runs ADD COLUMN missed INTEGER;
-- One run of a key is on its way at a time; the others of it have the hold 8.
ALTER TABLE runs ADD COLUMN key TEXT;
-- Attempts that count against those that its `retry` allows: neither shutdowns nor lost daemons do.
ALTER TABLE runs ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;
UPDATE runs SET cause = 'retry' WHERE retry_of IS NOT NULL;

CREATE INDEX runs_by_key ON runs (key, id) WHERE fresh = 1 AND key IS NOT NULL;
-- What becomes due by itself: a time, or the wait for the next attempt.
DROP INDEX runs_due;
CREATE INDEX runs_due ON runs (not_before, queue, held_by) WHERE status = 'queued' AND held_by & 3 > 0;

-- What a run that waits needs. Its rows go when nothing of it is wanting or when it ends. met: the needed one ended as wanted.
CREATE TABLE needs (
  needed INTEGER NOT NULL,
  met    INTEGER NOT NULL CHECK (met IN (0, 1)),
  run    INTEGER NOT NULL,
  wanted TEXT NOT NULL CHECK (wanted IN ('succeeded', 'ended', 'failed')),
  PRIMARY KEY (needed, met, run)
) STRICT, WITHOUT ROWID;
CREATE INDEX needs_of_run ON needs (run, met);

-- Runs that have ended and whose end was not told yet to everybody who needs it: that is done in pieces.
CREATE TABLE ends_to_tell (
  run INTEGER PRIMARY KEY
) STRICT;

-- New reasons; and `keep` is a set of bits, so that what only retention looks at stands in one column and its indexes stay
-- as they are: 1 a client said so, 2 a run that waits needs it. The text of the CHECKs is changed as in 0004, after the
-- columns, since a column is added at a place in the text.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema
SET sql = replace(replace(sql, '''daemon_lost'', ''oom'')', '''daemon_lost'', ''oom'', ''expired'', ''dependency'', ''replaced'')'),
                  'CHECK (keep IN (0, 1))', 'CHECK (keep BETWEEN 0 AND 3)')
WHERE type = 'table' AND name = 'runs';
PRAGMA writable_schema = RESET;
