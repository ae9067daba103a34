-- Removes a delivery.
DELETE FROM hook_deliveries WHERE id = :id
