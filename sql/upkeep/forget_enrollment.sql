-- A restored copy would let those in again who used theirs up since.
DELETE FROM enrollment_tokens
