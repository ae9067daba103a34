-- What a run's last attempt used, as JSON; no statement searches by it. Without a CHECK, for which every row would be read.
ALTER TABLE runs ADD COLUMN usage TEXT;
-- What each run of a queue may use that does not say so itself, as JSON.
ALTER TABLE queues ADD COLUMN limits TEXT NOT NULL DEFAULT '{}';
