-- When the first of the runs ended that age removes. A time from before :built is not believed.
SELECT MIN(ended_at) FROM runs WHERE ended_at IS NOT NULL AND keep = 0 AND ended_at >= :built
