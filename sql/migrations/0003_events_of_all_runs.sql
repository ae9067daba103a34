-- All runs at once, filtered: the index holds all that a filter of kinds or runs asks for, so that a reader who is far
-- behind touches the rows that it is shown and no other. Output, which is most of it, still never writes here; the rest
-- writes one entry at the same end of the same index as before.
DROP INDEX run_events_told;
CREATE INDEX run_events_told ON run_events (id, kind, run) WHERE kind <> 'output';
