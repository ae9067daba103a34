-- Which runs were tried again, so that all that failed can be tried again and nothing twice. Retries alone write it.
CREATE INDEX runs_by_retry_of ON runs (retry_of) WHERE retry_of IS NOT NULL;
