-- Firings that were written down up to a time, some at once; a time that has not come yet stays.
SELECT job, scheduled_for FROM firings INDEXED BY firings_by_at
WHERE at <= :until AND scheduled_for <= :until ORDER BY at LIMIT :rows
