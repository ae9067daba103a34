-- When the first of those deliveries was over that are.
SELECT MIN(ended_at) FROM hook_deliveries WHERE ended_at IS NOT NULL
