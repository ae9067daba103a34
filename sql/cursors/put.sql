-- Makes or moves a durable cursor.
INSERT INTO cursors (name, id, instance, created_at, moved_at) VALUES (:name, :id, :instance, :now, :now)
ON CONFLICT (name) DO UPDATE SET id = excluded.id, instance = excluded.instance, moved_at = excluded.moved_at
