-- How many hooks there are.
-- scan: when one is made; there are 100 at most
SELECT COUNT(*) FROM hooks
