-- Hooks: whom the daemon tells that a run has ended; and each end that is told, as it was then.
--
-- definition: JSON. keys: JSON, the secrets that are signed with, the newest first. stopped: why it was disabled by itself.
CREATE TABLE hooks (
  name       TEXT PRIMARY KEY,
  definition TEXT NOT NULL,
  keys       TEXT NOT NULL,
  stopped    TEXT,
  created_at INTEGER NOT NULL,
  changed_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- webhook_id: what its target knows it by. run: none for a test. message: JSON, what is sent. attempts: how often it was sent.
-- failures: of those since it was last to be sent, how many were not taken. next_at: from when it may be sent.
CREATE TABLE hook_deliveries (
  id              INTEGER PRIMARY KEY,
  hook            TEXT NOT NULL,
  webhook_id      TEXT NOT NULL,
  run             INTEGER,
  status          TEXT NOT NULL CHECK (status IN ('pending', 'delivered', 'dead')),
  message         TEXT NOT NULL,
  attempts        INTEGER NOT NULL DEFAULT 0,
  failures        INTEGER NOT NULL DEFAULT 0,
  created_at      INTEGER NOT NULL,
  next_at         INTEGER,
  ended_at        INTEGER,
  response_status INTEGER,
  error           TEXT,
  CHECK ((status = 'pending') = (next_at IS NOT NULL)),
  CHECK ((status = 'pending') = (ended_at IS NULL))
) STRICT;

-- The first of a hook that is to be sent, and how many there are of each status.
CREATE INDEX hook_deliveries_by_status ON hook_deliveries (hook, status, id);
-- A hook's deliveries, the newest first.
CREATE INDEX hook_deliveries_by_hook ON hook_deliveries (hook, id);
-- What goes first where there are too many, or is too old.
CREATE INDEX hook_deliveries_by_end ON hook_deliveries (ended_at) WHERE ended_at IS NOT NULL;

-- The highest id of a delivery that was ever removed, so that none is given out twice.
INSERT INTO meta (key, value) VALUES ('removed_delivery_id', 0);
