-- The earliest end of the runs that are removed by age. An end before :built is not believed.
SELECT MIN(ended_at) FROM runs WHERE ended_at IS NOT NULL AND keep = 0 AND ended_at >= :built
