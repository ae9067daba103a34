-- Fewer pages a commit, which is what a commit costs: a row is written where the rows are that are written with it, and
-- stands in no index that only lists of what is over read.
--
-- Events: what is no output by id, which is how all runs at once are read, and by key, which is run << 32 | seq; output by
-- its key alone, so that a line is one page. Which of them come first in a block of 64 ids stands in `output_blocks`: by it
-- output of all runs is read by id, and the newest id is found. The rows of before are moved in pieces, from
-- `run_events_before`, of which 0007 takes what is left; the view has all of them meanwhile, and always.
DROP INDEX run_events_told;
ALTER TABLE run_events RENAME TO run_events_before;

CREATE TABLE events (
  id   INTEGER PRIMARY KEY,
  key  INTEGER NOT NULL UNIQUE CHECK (key >= 1 << 32 AND key & 4294967295 >= 1),
  at   INTEGER NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('queued', 'started', 'progress', 'message', 'cancel_requested', 'changed', 'attempt_ended', 'finished')),
  data ANY NOT NULL,
  run  INTEGER AS (key >> 32),
  seq  INTEGER AS (key & 4294967295)
) STRICT;

-- data: the bytes themselves, as TEXT where they are UTF-8, else as BLOB.
CREATE TABLE output (
  key    INTEGER PRIMARY KEY CHECK (key >= 1 << 32 AND key & 4294967295 >= 1),
  id     INTEGER NOT NULL,
  at     INTEGER NOT NULL,
  stream TEXT NOT NULL CHECK (stream IN ('stdout', 'stderr')),
  data   ANY NOT NULL,
  run    INTEGER AS (key >> 32),
  seq    INTEGER AS (key & 4294967295)
) STRICT;

-- block: id >> 6. key: of the run's first piece of output in it, which may be gone since.
CREATE TABLE output_blocks (
  block INTEGER NOT NULL,
  run   INTEGER NOT NULL,
  key   INTEGER NOT NULL,
  PRIMARY KEY (block, run)
) STRICT, WITHOUT ROWID;

CREATE VIEW run_events AS
SELECT id, run, seq, at, kind, NULL AS stream, data FROM events
UNION ALL
SELECT id, run, seq, at, 'output', stream, data FROM output
UNION ALL
SELECT id, run, seq, at, kind, stream, data FROM run_events_before;

-- Runs: what is queued and runs stands in one index, in which what runs comes right before what is claimed next. What has
-- ended stands there too, until it is filed with others, in the indexes by which lists and retention find it: `fresh` is 1
-- until then.
DROP INDEX runs_claim;
DROP INDEX runs_waiting;
DROP INDEX runs_by_status;
DROP INDEX runs_by_queue;
DROP INDEX runs_ended;
ALTER TABLE runs ADD COLUMN fresh INTEGER NOT NULL DEFAULT 0 CHECK (fresh IN (0, 1));
UPDATE runs SET fresh = 1 WHERE ended_at IS NULL;
CREATE INDEX runs_fresh ON runs (queue, status DESC, held_by, priority DESC, id) WHERE fresh = 1;
CREATE INDEX runs_by_status ON runs (status, id) WHERE fresh = 0;
CREATE INDEX runs_by_queue ON runs (queue, id) WHERE fresh = 0;
-- Retention: what ended first goes first.
CREATE INDEX runs_ended ON runs (ended_at, id) WHERE fresh = 0 AND keep = 0;

-- Attempts: the process of the last one stands in the run's row, which its start and its end write anyway. Those before it
-- are kept in a table; so are the last ones of runs that ended before this.
ALTER TABLE attempts RENAME TO past_attempts;
ALTER TABLE runs ADD COLUMN pid INTEGER;
ALTER TABLE runs ADD COLUMN start_ticks INTEGER;
ALTER TABLE runs ADD COLUMN boot_id TEXT;
UPDATE runs
SET (pid, start_ticks, boot_id) = (SELECT pid, start_ticks, boot_id FROM past_attempts
                                   WHERE run = runs.id AND attempt = runs.attempt)
WHERE status = 'running';
DELETE FROM past_attempts
WHERE (run, attempt) IN (SELECT id, attempt FROM runs WHERE status = 'running');

CREATE VIEW attempts AS
SELECT run, attempt, pid, start_ticks, boot_id, started_at, ended_at, exit_code, signal, reason FROM past_attempts
UNION ALL
SELECT id, attempt, pid, start_ticks, boot_id, started_at, ended_at, exit_code, signal, reason FROM runs
WHERE started_at IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM past_attempts WHERE run = runs.id AND attempt = runs.attempt);
