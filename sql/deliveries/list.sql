-- A hook's deliveries, the newest first.
SELECT id, webhook_id, run, status, attempts, failures, created_at, next_at, ended_at, response_status, error
FROM hook_deliveries INDEXED BY hook_deliveries_by_hook WHERE hook = :hook AND id < :before ORDER BY id DESC LIMIT :rows
