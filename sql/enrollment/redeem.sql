-- Spends one use, in the transaction that makes the session: of concurrent redeems at most max_uses succeed.
UPDATE enrollment_tokens
SET uses = uses + 1
WHERE token_sha256 = :token_sha256 AND uses < max_uses AND expires_at > :now
RETURNING role, label, session_ttl_s, jobs
