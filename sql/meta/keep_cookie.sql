-- The database is about to get a new instance: its cookie keeps the name of the first one. A new database has none yet.
INSERT INTO meta (key, value) SELECT 'cookie_id', value FROM meta WHERE key = 'instance'
ON CONFLICT (key) DO NOTHING
