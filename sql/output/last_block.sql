-- The same from here down; -1 where there is none.
SELECT MAX(COALESCE((SELECT id >> 6 FROM events WHERE id <= (:block << 6 | 63) ORDER BY id DESC LIMIT 1), -1),
           COALESCE((SELECT MAX(block) FROM output_blocks WHERE block <= :block), -1))
