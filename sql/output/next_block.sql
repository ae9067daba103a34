-- The first block of ids from here up that has an event of any kind.
SELECT MIN(COALESCE((SELECT id >> 6 FROM events WHERE id >= :block << 6 ORDER BY id LIMIT 1), 9223372036854775807),
           COALESCE((SELECT MIN(block) FROM output_blocks WHERE block >= :block), 9223372036854775807))
