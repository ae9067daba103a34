-- The highest ids of sessions and of enrollment tokens that were ever given out: one that was revoked never comes back as
-- somebody else's.
INSERT INTO meta (key, value)
VALUES ('last_session_id', (SELECT coalesce(MAX(id), 0) FROM sessions)),
       ('last_enrollment_token_id', (SELECT coalesce(MAX(id), 0) FROM enrollment_tokens));
