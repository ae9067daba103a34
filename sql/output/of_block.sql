-- Output of all runs whose ids are of one block: of each run that has some, from its first piece on. A run's later pieces
-- have higher ids, so that at most the block's 64 belong to it.
SELECT output.id, output.seq, output.run, octet_length(output.data)
FROM output_blocks CROSS JOIN output
WHERE output_blocks.block = :block
  AND output.key >= output_blocks.key AND output.key < (output_blocks.run + 1) << 32 AND output.key < output_blocks.key + 64
  AND output.id >> 6 = :block
