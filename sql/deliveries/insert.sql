-- Writes a delivery, as it is to be sent.
INSERT INTO hook_deliveries (id, hook, webhook_id, run, status, message, created_at, next_at)
VALUES (:id, :hook, :webhook_id, :run, 'pending', :message, :now, :now)
