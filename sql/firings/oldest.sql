-- When the oldest firing was written down.
SELECT MIN(at) FROM firings
