-- Disables all hooks of a restored copy, on request: what they have to tell may have been told since.
-- scan: all of them, once a restore
UPDATE hooks SET definition = json_set(definition, '$.enabled', json('false'))
