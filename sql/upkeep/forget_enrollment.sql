-- Removes enrollment tokens from a restored copy: they may have been used since.
DELETE FROM enrollment_tokens
