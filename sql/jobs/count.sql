-- How many jobs there are.
-- scan: at the start and when a job changes; there are 10,000 at most
SELECT COUNT(*) FROM jobs
