-- When the firing was written down that so many older ones lie behind.
-- scan: of so many entries of the index alone
SELECT at FROM firings INDEXED BY firings_by_at ORDER BY at LIMIT 1 OFFSET :nth
