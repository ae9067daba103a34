-- Output of a run went: where that was the last of a block, the block has none of this run any more.
DELETE FROM output_blocks
WHERE block = :block AND run = :run
  AND NOT EXISTS (SELECT 1 FROM output
                  WHERE output.key >= output_blocks.key AND output.key < output_blocks.key + 64 AND output.id >> 6 = :block)
