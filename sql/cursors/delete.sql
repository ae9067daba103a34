-- Removes a durable cursor.
DELETE FROM cursors WHERE name = :name
