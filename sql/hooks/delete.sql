-- Removes a hook, whose deliveries are gone.
DELETE FROM hooks WHERE name = :name
