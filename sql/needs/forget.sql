-- A run needs nothing more: it has what it needs, or has ended.
DELETE FROM needs WHERE run = :run RETURNING needed
