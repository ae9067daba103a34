-- The newest event's id in a database of an earlier layout, where this is a table and not a view.
-- scan: by the table's own order where it is asked
SELECT MAX(id) FROM run_events
