-- What the output quota has removed of a run.
SELECT after_seq, to_seq, bytes FROM trimmed_runs WHERE run = :run
