-- What is no output of a block of ids.
SELECT id, seq, kind, run FROM events WHERE id BETWEEN :first AND :last
