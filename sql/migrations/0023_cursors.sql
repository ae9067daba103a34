-- Durable cursors: how far readers of all events have come. Retention keeps what comes after the lowest.
--
-- id: of the last event that the reader has. instance: the database's name when it was put. moved_at: when it was last put.
CREATE TABLE cursors (
  name       TEXT PRIMARY KEY,
  id         INTEGER NOT NULL CHECK (id >= 0),
  instance   TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  moved_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
