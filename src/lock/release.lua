-- Gives a lock back, if the token still holds it (https://redis.io/docs/latest/commands/set/#patterns).
--
-- KEYS[1] the lock          ARGV[1] the token
--
-- Returns 1, or 0 when the lock has expired or is somebody else's.

if redis.call('TYPE', KEYS[1]).ok ~= 'string' or redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('DEL', KEYS[1])
return 1
