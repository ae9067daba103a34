-- Has a delivery sent again, as it was.
UPDATE hook_deliveries SET status = 'pending', failures = 0, next_at = :now, ended_at = NULL WHERE id = :id
