-- Whether the commands of a queue's runs outlive the daemon where a run does not say so itself.
ALTER TABLE queues ADD COLUMN survive INTEGER NOT NULL DEFAULT 0;
