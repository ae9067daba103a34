-- A hook's deliveries of one status, the newest first.
SELECT id, webhook_id, run, status, attempts, failures, created_at, next_at, ended_at, response_status, error
FROM hook_deliveries WHERE hook = :hook AND status = :stands AND id < :before ORDER BY id DESC LIMIT :rows
