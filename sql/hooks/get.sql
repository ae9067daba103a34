-- A hook.
SELECT name, definition, keys, stopped, created_at, changed_at FROM hooks WHERE name = :name
