-- How many lines the quota took of a run, beside the bytes: who reads what is left is told both. Null: some went before this
-- was counted.
ALTER TABLE trimmed_runs ADD COLUMN lines INTEGER CHECK (lines >= 0);
