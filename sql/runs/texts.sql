-- What a search of runs looks at.
SELECT name, tags, command, script FROM runs WHERE id = :id
