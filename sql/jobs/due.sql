-- Jobs that are due, the longest due first.
SELECT name FROM jobs WHERE next_at <= :now ORDER BY next_at LIMIT :rows
