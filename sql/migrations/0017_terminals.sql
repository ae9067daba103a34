-- What a command prints on a terminal is one stream, `pty`. The text of the CHECK is changed in place, as by 0004: no row is
-- written, and none of before has the new word.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema
SET sql = replace(sql, 'CHECK (stream IN (''stdout'', ''stderr''))', 'CHECK (stream IN (''stdout'', ''stderr'', ''pty''))')
WHERE type = 'table' AND name = 'output';
PRAGMA writable_schema = RESET;
