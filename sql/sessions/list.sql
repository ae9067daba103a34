-- A page of the sessions, newest first. Expired ones are included: the last use of a session may not be written yet.
SELECT id, name, role, jobs, ttl_s, address, agent, created_at, last_used_at, expires_at FROM sessions
WHERE id < :before
ORDER BY id DESC
LIMIT :rows
