-- Jobs, and what became of each time at which one was due.
--
-- definition: JSON. version: the id of the event that told of its last change. accounted_at: up to here every time is written
-- down or owed to nobody. highest_at: the highest that this ever was, also by a clock that was ahead and was set back since.
-- pruned_at: the newest time whose firing was removed; no time up to it is fired again. next_at: when it is due next.
CREATE TABLE jobs (
  name         TEXT PRIMARY KEY,
  definition   TEXT NOT NULL,
  after_job    TEXT,
  version      INTEGER NOT NULL,
  created_at   INTEGER NOT NULL,
  changed_at   INTEGER NOT NULL,
  accounted_at INTEGER NOT NULL,
  highest_at   INTEGER NOT NULL,
  pruned_at    INTEGER NOT NULL DEFAULT 0,
  next_at      INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX jobs_due ON jobs (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX jobs_after ON jobs (after_job) WHERE after_job IS NOT NULL;

-- count: how many times it stands for, itself and earlier ones. behind: the run that was in the way.
CREATE TABLE firings (
  job           TEXT NOT NULL,
  scheduled_for INTEGER NOT NULL,
  at            INTEGER NOT NULL,
  run           INTEGER,
  skipped       TEXT CHECK (skipped IN ('overlap', 'deadline', 'catch_up', 'replaced', 'refused')),
  count         INTEGER NOT NULL CHECK (count >= 1),
  behind        INTEGER,
  PRIMARY KEY (job, scheduled_for),
  CHECK (run IS NOT NULL OR skipped IS NOT NULL)
) STRICT, WITHOUT ROWID;

CREATE INDEX firings_by_at ON firings (at);

-- Runs of jobs that others follow, which ended and whose followers were not started yet.
CREATE TABLE followed_ends (
  run INTEGER PRIMARY KEY
) STRICT;

-- Runs of a job: those on their way and the rest, as other indexes of runs are parted. A run without a job is in neither.
CREATE INDEX runs_of_job ON runs (job, id) WHERE fresh = 1 AND job IS NOT NULL;
CREATE INDEX runs_by_job ON runs (job, id) WHERE fresh = 0 AND job IS NOT NULL;
-- After this time a queued run is started no more.
ALTER TABLE runs ADD COLUMN start_before INTEGER;
CREATE INDEX runs_expire ON runs (start_before) WHERE status = 'queued' AND start_before IS NOT NULL;

-- Whose sessions may start some jobs and nothing else; which, as a JSON array.
ALTER TABLE sessions ADD COLUMN jobs TEXT;
ALTER TABLE enrollment_tokens ADD COLUMN jobs TEXT;

-- What is told of jobs belongs to no single run. The text of the CHECKs is changed as in 0004; no row is written.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema
SET sql = replace(sql, 'CHECK (kind IN (', 'CHECK (kind IN (''job_fired'', ''job_skipped'', ''job_changed'', ')
WHERE type = 'table' AND name = 'events';
UPDATE sqlite_schema
SET sql = replace(sql, 'CHECK (role IN (', 'CHECK (role IN (''trigger'', ')
WHERE type = 'table' AND name IN ('sessions', 'enrollment_tokens');
PRAGMA writable_schema = RESET;
