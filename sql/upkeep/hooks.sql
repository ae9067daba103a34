-- Each hook with what it has to tell: its first delivery that is to be sent, and how many were given up.
-- scan: of the hooks, of which there are 100 at most
SELECT hooks.name, hooks.stopped, first.failures, first.error,
  (SELECT COUNT(*) FROM hook_deliveries AS dead WHERE dead.hook = hooks.name AND dead.status = 'dead') AS dead
FROM hooks
LEFT JOIN hook_deliveries AS first ON first.id =
  (SELECT MIN(id) FROM hook_deliveries AS line WHERE line.hook = hooks.name AND line.status = 'pending')
ORDER BY hooks.name
