-- The highest event id of a run that goes, 0 where it has none: ids rise with seq.
SELECT MAX(COALESCE((SELECT id FROM events WHERE key BETWEEN :first AND :last ORDER BY key DESC LIMIT 1), 0),
           COALESCE((SELECT id FROM output WHERE key BETWEEN :first AND :last ORDER BY key DESC LIMIT 1), 0))
