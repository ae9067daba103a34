-- Deliveries that were over by a time, the oldest first.
SELECT id FROM hook_deliveries WHERE ended_at <= :until ORDER BY ended_at LIMIT :rows
