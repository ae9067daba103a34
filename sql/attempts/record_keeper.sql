-- Who is to keep the attempt's command. Before this is on the medium, nothing is started.
UPDATE runs
SET keeper = :keeper
WHERE id = :run AND attempt = :attempt
