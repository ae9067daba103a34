-- A run that waits needs another one.
INSERT INTO needs (needed, met, run, wanted) VALUES (:needed, :met, :run, :wanted)
