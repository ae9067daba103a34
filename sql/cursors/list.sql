-- All durable cursors, at the start; afterwards they are kept in memory.
-- scan: all are wanted; there are 1,000 at most
SELECT name, id, instance, created_at, moved_at FROM cursors ORDER BY name
