-- What a reader of events needs to know of a run: where it stands and which seqs there are.
SELECT status, reason, exit_code,
       (SELECT MIN(seq) FROM run_events WHERE run = runs.id) AS first_seq,
       (SELECT MAX(seq) FROM run_events WHERE run = runs.id) AS last_seq
FROM runs
WHERE id = :id
