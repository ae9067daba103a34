-- The newest delivery.
SELECT MAX(id) FROM hook_deliveries
