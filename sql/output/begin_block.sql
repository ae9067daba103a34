-- A run's first output in a block of ids.
INSERT INTO output_blocks (block, run, key) VALUES (:block, :run, :event_key) ON CONFLICT DO NOTHING
