-- Whether a run's end was asked for.
SELECT 1 FROM runs WHERE id = :id AND cancel_requested_at IS NOT NULL
