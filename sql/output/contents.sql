-- A run's output that is about to be removed, to count its lines.
SELECT data FROM output WHERE key > :after AND key <= :to
