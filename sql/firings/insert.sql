-- What became of a time at which a job was due; each is written once.
INSERT INTO firings (job, scheduled_for, at, run, skipped, count, behind)
VALUES (:job, :scheduled_for, :now, :run, :skipped, :count, :behind)
