-- What a daemon has left behind, in the words of the first schema. Times are of today, so that nothing of it is old.
CREATE TEMP TABLE now AS SELECT unixepoch() * 1000 - 60000 AS ms;

INSERT INTO meta (key, value) VALUES ('instance', 'abcdefghijkl');
INSERT INTO queues (name, slots, paused) VALUES ('gpu', 3, 0);

INSERT INTO runs (id, status, reason, name, queue, priority, ready, tags, command, script, env, on_interrupt, keep, attempt,
                  exit_code, signal, output_bytes, created_at, started_at, ended_at, not_before)
SELECT column1, column2, column3, column4, 'default', 0, column5, column6, column7, column8, '{}', 'fail', 0, 1,
       column9, column10, column11, ms, iif(column2 = 'queued', NULL, ms), iif(column3 IS NULL, NULL, ms + 1), column12
FROM now, (VALUES
  (1, 'succeeded', 'exited',   'old', 0, '["kept"]', '["echo","from before"]', NULL,          0,    NULL, 12, NULL),
  (2, 'failed',    'signaled', NULL,  0, '[]',       NULL,                     'kill -9 $$', NULL, 9,    0,  NULL),
  (3, 'running',   NULL,       NULL,  1, '[]',       NULL,                     'sleep 1000',  NULL, NULL, 0,  NULL),
  (4, 'queued',    NULL,       NULL,  1, '[]',       '["true"]',               NULL,          NULL, NULL, 0,  NULL),
  (5, 'queued',    NULL,       NULL,  0, '[]',       '["true"]',               NULL,          NULL, NULL, 0,  4102444800000)
);

INSERT INTO run_tags (tag, run) VALUES ('kept', 1);

INSERT INTO attempts (run, attempt, pid, start_ticks, boot_id, started_at, ended_at, exit_code, signal, reason)
SELECT column1, 1, column2, column2, 'a boot long ago', ms, column3 * (ms + 1), column4, column5, column6
FROM now, (VALUES
  (1, 999991, 1,    0,    NULL, 'exited'),
  (2, 999992, 1,    NULL, 9,    'signaled'),
  (3, 999993, NULL, NULL, NULL, NULL)
);

INSERT INTO run_events (id, run, seq, at, kind, stream, data)
SELECT column1, column2, column3, ms, column4, column5, column6
FROM now, (VALUES
  (1,  1, 1, 'queued',   NULL,     '{"attempt":1}'),
  (2,  1, 2, 'started',  NULL,     '{"attempt":1}'),
  (3,  1, 3, 'output',   'stdout', 'from before' || char(10)),
  (4,  1, 4, 'finished', NULL,     '{"status":"succeeded","reason":"exited","exit_code":0,"signal":null,"error":null,"duration_ms":1,"name":"old","queue":"default","tags":["kept"]}'),
  (5,  2, 1, 'queued',   NULL,     '{"attempt":1}'),
  (6,  2, 2, 'started',  NULL,     '{"attempt":1}'),
  (7,  2, 3, 'finished', NULL,     '{"status":"failed","reason":"signaled","exit_code":null,"signal":9,"error":null,"duration_ms":1,"name":null,"queue":"default","tags":[]}'),
  (8,  3, 1, 'queued',   NULL,     '{"attempt":1}'),
  (9,  3, 2, 'started',  NULL,     '{"attempt":1}'),
  (10, 4, 1, 'queued',   NULL,     '{"attempt":1}'),
  (11, 5, 1, 'queued',   NULL,     '{"attempt":1}')
);

INSERT INTO idempotency_keys (key, run, request_sha256, created_at, expires_at)
SELECT 'a-key', 1, zeroblob(32), ms, ms + 86400000 FROM now;

-- The token's SHA-256; the token itself is in the test.
INSERT INTO sessions (id, token_sha256, name, role, ttl_s, address, created_at, last_used_at, expires_at)
SELECT 1, x'3fe61f0cf60fc2e12f7f3283d20e2c4a06a7b16761654e4c8edbe86af80ac9ad', 'display', 'viewer', 0, '127.0.0.1', ms, ms, NULL
FROM now;

INSERT INTO enrollment_tokens (id, token_sha256, role, label, max_uses, uses, session_ttl_s, created_at, expires_at)
SELECT 1, zeroblob(32), 'operator', NULL, 1, 0, NULL, ms, ms + 86400000 FROM now;

DROP TABLE now;
