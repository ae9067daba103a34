-- Where each run's output begins in the blocks of this piece; where it began in an earlier one, that stays.
INSERT INTO output_blocks (block, run, key)
SELECT id >> 6, run, MIN(run << 32 | seq) FROM run_events_before WHERE id <= :to AND kind = 'output' GROUP BY id >> 6, run
ON CONFLICT DO NOTHING
