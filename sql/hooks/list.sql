-- All hooks by name.
-- scan: all are asked for; there are 100 at most
SELECT name, definition, keys, stopped, created_at, changed_at FROM hooks ORDER BY name
