-- What the output quota took of a run: the rest of what it printed is in its events. There is a row once something went.
-- after_seq: the last event of its beginning, which always stays. to_seq: the last that went. Between the two every event
-- of output is gone and every other is left. bytes: of output, so that what a run printed is known after a crash.
CREATE TABLE trimmed_runs (
  run       INTEGER PRIMARY KEY,
  after_seq INTEGER NOT NULL CHECK (after_seq >= 0),
  to_seq    INTEGER NOT NULL CHECK (to_seq > after_seq),
  events    INTEGER NOT NULL CHECK (events >= 1),
  bytes     INTEGER NOT NULL CHECK (bytes >= 1)
) STRICT;
