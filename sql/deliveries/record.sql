-- Writes down what came of an attempt.
UPDATE hook_deliveries
SET status = :stands, attempts = attempts + 1, failures = :failures, next_at = :due_at, ended_at = :ended_at,
    response_status = :response_status, error = :error
WHERE id = :id AND status = 'pending'
