-- What the output quota took of a run, if it did.
SELECT after_seq, to_seq, bytes FROM trimmed_runs WHERE run = :run
