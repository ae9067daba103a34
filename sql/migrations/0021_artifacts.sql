-- What runs left to be fetched: the files are beside the database. Most runs leave nothing, and write nothing of this. What
-- was removed to make room is known by its number, without bytes.
CREATE TABLE artifacts (
    run         INTEGER NOT NULL,
    name        TEXT    NOT NULL,
    bytes       INTEGER NOT NULL CHECK (bytes >= 0),
    sha256      TEXT    CHECK (length(sha256) = 64),
    modified_at INTEGER NOT NULL,
    PRIMARY KEY (run, name)
) STRICT, WITHOUT ROWID;
ALTER TABLE runs ADD COLUMN artifacts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN artifact_bytes INTEGER NOT NULL DEFAULT 0;
CREATE INDEX runs_with_artifacts ON runs (id, artifact_bytes, keep) WHERE artifact_bytes > 0;
