-- When a run was submitted and with what it exited, for a list that asks for it: these columns lie behind long ones, so that
-- no other list reads them.
SELECT created_at, exit_code FROM runs WHERE id = :id
