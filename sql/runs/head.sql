-- What a reader of a run's events needs: its outcome, the range of its seqs, and what the output quota removed.
SELECT status, reason, exit_code, signal, error,
       (SELECT MIN(seq) FROM run_events WHERE run = runs.id) AS first_seq,
       (SELECT MAX(seq) FROM run_events WHERE run = runs.id) AS last_seq,
       trimmed_runs.after_seq AS trimmed_after,
       trimmed_runs.to_seq AS trimmed_to
FROM runs LEFT JOIN trimmed_runs ON trimmed_runs.run = runs.id
WHERE runs.id = :id
