-- Some deliveries of a hook.
SELECT id FROM hook_deliveries WHERE hook = :hook ORDER BY id LIMIT :rows
