-- A piece of a run's output, measured before.
DELETE FROM output WHERE key > :after AND key <= :to
