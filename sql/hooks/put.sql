-- Makes or changes a hook.
INSERT INTO hooks (name, definition, keys, stopped, created_at, changed_at)
VALUES (:name, :definition, :keys, :stopped, :now, :now)
ON CONFLICT (name) DO UPDATE
SET definition = excluded.definition, keys = excluded.keys, stopped = excluded.stopped, changed_at = excluded.changed_at
