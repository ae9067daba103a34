-- Raises a high-water mark; it never falls.
UPDATE meta SET value = MAX(value, :value) WHERE key = :key
