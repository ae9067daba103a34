-- When the first of the runs ended that age removes, of those that were filed. A time from before :built is not believed.
SELECT MIN(ended_at) FROM runs WHERE fresh = 0 AND keep = 0 AND ended_at >= :built
