-- The first schema. Page size and auto_vacuum are set before it; they cannot be changed once a table exists.
-- Times are milliseconds since 1970; states are the words of the contract.

-- instance: names this database to its readers.
-- removed_run_id, removed_event_id: the highest ids that were ever removed; written by the transaction that
-- removes, they keep ids from being given out twice without AUTOINCREMENT's second table.
CREATE TABLE meta (
  key   TEXT PRIMARY KEY,
  value ANY NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO meta (key, value) VALUES ('removed_run_id', 0), ('removed_event_id', 0);

CREATE TABLE queues (
  name   TEXT PRIMARY KEY,
  slots  INTEGER NOT NULL CHECK (slots BETWEEN 1 AND 1024),
  paused INTEGER NOT NULL CHECK (paused IN (0, 1))
) STRICT, WITHOUT ROWID;

INSERT INTO queues (name, slots, paused) VALUES ('default', 1, 0);

-- A finished run may outlive its queue, so that the name is no foreign key.
-- Neither last_seq nor the pid stand here: output must not touch this table.
CREATE TABLE runs (
  id                  INTEGER PRIMARY KEY,
  status              TEXT NOT NULL CHECK (status IN ('queued', 'running', 'succeeded', 'failed', 'canceled', 'timed_out', 'interrupted')),
  reason              TEXT CHECK (reason IN ('exited', 'signaled', 'spawn_failed', 'canceled', 'timeout', 'shutdown', 'daemon_lost', 'oom')),
  name                TEXT,
  queue               TEXT NOT NULL,
  priority            INTEGER NOT NULL CHECK (priority BETWEEN -1000 AND 1000),
  ready               INTEGER NOT NULL CHECK (ready IN (0, 1)),
  tags                TEXT NOT NULL,
  command             TEXT,
  script              TEXT,
  cwd                 TEXT,
  env                 TEXT NOT NULL,
  stdin               TEXT,
  timeout_s           INTEGER,
  not_before          INTEGER,
  on_interrupt        TEXT NOT NULL CHECK (on_interrupt IN ('fail', 'requeue')),
  keep                INTEGER NOT NULL CHECK (keep IN (0, 1)),
  attempt             INTEGER NOT NULL CHECK (attempt >= 1),
  exit_code           INTEGER,
  signal              INTEGER,
  error               TEXT,
  progress            TEXT,
  output_bytes        INTEGER NOT NULL,
  created_at          INTEGER NOT NULL,
  started_at          INTEGER,
  ended_at            INTEGER,
  cancel_requested_at INTEGER,
  retry_of            INTEGER,
  CHECK ((command IS NULL) <> (script IS NULL)),
  CHECK ((status IN ('queued', 'running')) = (ended_at IS NULL)),
  CHECK ((status IN ('queued', 'running')) = (reason IS NULL))
) STRICT;

-- Claims: delayed runs are not in it, so that they never stand in front of one.
CREATE INDEX runs_claim ON runs (queue, priority DESC, id) WHERE status = 'queued' AND ready = 1;
-- What becomes due.
CREATE INDEX runs_due ON runs (not_before, queue) WHERE status = 'queued' AND ready = 0;
-- Lists, recovery, and the counts at the start.
CREATE INDEX runs_by_status ON runs (status, id);
CREATE INDEX runs_by_queue ON runs (queue, id);
CREATE INDEX runs_by_name ON runs (name, id) WHERE name IS NOT NULL;
-- Retention: what ended first goes first.
CREATE INDEX runs_ended ON runs (ended_at, id) WHERE ended_at IS NOT NULL AND keep = 0;

CREATE TABLE run_tags (
  tag TEXT NOT NULL,
  run INTEGER NOT NULL,
  PRIMARY KEY (tag, run)
) STRICT, WITHOUT ROWID;

-- An attempt is one execution. Past attempts are kept, not overwritten.
CREATE TABLE attempts (
  run         INTEGER NOT NULL,
  attempt     INTEGER NOT NULL,
  pid         INTEGER,
  start_ticks INTEGER,
  boot_id     TEXT,
  started_at  INTEGER NOT NULL,
  ended_at    INTEGER,
  exit_code   INTEGER,
  signal      INTEGER,
  reason      TEXT,
  PRIMARY KEY (run, attempt)
) STRICT, WITHOUT ROWID;

-- data: JSON text; for output the bytes themselves, as TEXT where they are UTF-8, else as BLOB.
CREATE TABLE run_events (
  id     INTEGER PRIMARY KEY,
  run    INTEGER NOT NULL,
  seq    INTEGER NOT NULL CHECK (seq >= 1),
  at     INTEGER NOT NULL,
  kind   TEXT NOT NULL CHECK (kind IN ('queued', 'started', 'output', 'progress', 'message', 'cancel_requested', 'changed', 'attempt_ended', 'finished')),
  stream TEXT CHECK (stream IN ('stdout', 'stderr')),
  data   ANY NOT NULL,
  UNIQUE (run, seq),
  CHECK ((kind = 'output') = (stream IS NOT NULL))
) STRICT;

-- All runs at once; output, which is most of it, never writes here.
CREATE INDEX run_events_told ON run_events (id) WHERE kind <> 'output';

-- Runs whose row is gone and whose events go in pieces; survives a crash in the middle.
CREATE TABLE doomed_runs (
  run INTEGER PRIMARY KEY
) STRICT;

-- expires_at is null while the run is there: a key lives as long as its run, and a day at least.
CREATE TABLE idempotency_keys (
  key            TEXT PRIMARY KEY,
  run            INTEGER NOT NULL,
  request_sha256 BLOB NOT NULL,
  created_at     INTEGER NOT NULL,
  expires_at     INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_keys_by_run ON idempotency_keys (run);
CREATE INDEX idempotency_keys_expire ON idempotency_keys (expires_at) WHERE expires_at IS NOT NULL;

-- Tokens are stored as SHA-256 alone. expires_at is null for a session that never expires.
CREATE TABLE sessions (
  id           INTEGER PRIMARY KEY,
  token_sha256 BLOB NOT NULL UNIQUE,
  name         TEXT NOT NULL,
  role         TEXT NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
  ttl_s        INTEGER NOT NULL,
  address      TEXT,
  created_at   INTEGER NOT NULL,
  last_used_at INTEGER NOT NULL,
  expires_at   INTEGER
) STRICT;

CREATE INDEX sessions_expire ON sessions (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE enrollment_tokens (
  id            INTEGER PRIMARY KEY,
  token_sha256  BLOB NOT NULL UNIQUE,
  role          TEXT NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
  label         TEXT,
  max_uses      INTEGER NOT NULL CHECK (max_uses >= 1),
  uses          INTEGER NOT NULL CHECK (uses BETWEEN 0 AND max_uses),
  session_ttl_s INTEGER,
  created_at    INTEGER NOT NULL,
  expires_at    INTEGER NOT NULL
) STRICT;

CREATE INDEX enrollment_tokens_expire ON enrollment_tokens (expires_at);
