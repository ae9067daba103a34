-- A high-water mark only ever rises.
UPDATE meta SET value = MAX(value, :value) WHERE key = :key
