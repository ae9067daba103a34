-- The newest event's id: that of the newest which is no output, or of the newest output of those runs that have some in
-- the last block.
SELECT MAX(COALESCE((SELECT MAX(id) FROM events), 0),
           COALESCE((SELECT MAX((SELECT id FROM output WHERE output.key < (output_blocks.run + 1) << 32
                                 ORDER BY output.key DESC LIMIT 1))
                     FROM output_blocks
                     WHERE block = (SELECT MAX(block) FROM output_blocks)), 0))
