-- Records the first request to cancel a run.
UPDATE runs SET cancel_requested_at = :now WHERE id = :id AND cancel_requested_at IS NULL
