-- Events that belong to no single run, as of the removal of many, have 0 in its place, and the kind `removed`. Only the text
-- of the CHECKs is changed, which rows do not depend on ("Making Other Kinds Of Table Schema Changes" in SQLite's
-- documentation of ALTER TABLE).
PRAGMA writable_schema = ON;
UPDATE sqlite_schema
SET sql = replace(replace(sql, 'CHECK (key >= 1 << 32 AND', 'CHECK (key >= 1 AND'), '''finished'')', '''finished'', ''removed'')')
WHERE type = 'table' AND name = 'events';
PRAGMA writable_schema = RESET;
