-- Adds a key. It lives as long as its run, so that it has no expiry yet.
INSERT INTO idempotency_keys (key, run, request_sha256, created_at) VALUES (:key, :run, :request_sha256, :now)
