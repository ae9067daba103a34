-- A delivery of a hook.
SELECT id, webhook_id, run, status, attempts, failures, created_at, next_at, ended_at, response_status, error
FROM hook_deliveries WHERE id = :id AND hook = :hook
