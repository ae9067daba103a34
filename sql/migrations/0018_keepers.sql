-- Runs that outlive the daemon: who keeps the command of the attempt that runs, and where, as JSON. It is on the medium before
-- the keeper may start anything. How far its output is stored is found in the events themselves: what is stored is always the
-- beginning of what the command printed.
ALTER TABLE runs ADD COLUMN keeper TEXT;
