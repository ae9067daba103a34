-- The first of a hook's deliveries that is to be sent: those behind it wait for it.
SELECT id, webhook_id, message, failures, next_at, error
FROM hook_deliveries WHERE hook = :hook AND status = 'pending' ORDER BY id LIMIT 1
