-- A restored copy would let those in again who used theirs up since.
-- scan: all of them go, once a restore
DELETE FROM enrollment_tokens
