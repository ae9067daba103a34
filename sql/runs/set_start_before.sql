-- After this time a run is started no more.
UPDATE runs SET start_before = :start_before WHERE id = :id
