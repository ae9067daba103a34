-- Remembers that its end was asked for, the first time.
UPDATE runs SET cancel_requested_at = :now WHERE id = :id AND cancel_requested_at IS NULL
