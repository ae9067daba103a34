-- A database is about to get another name: its cookie goes on by the first one. A new database has none yet.
INSERT INTO meta (key, value) SELECT 'cookie_id', value FROM meta WHERE key = 'instance'
ON CONFLICT (key) DO NOTHING
