-- Begins the time to live of a lock anew, if the token still holds it.
--
-- KEYS[1] the lock          ARGV[1] the token
-- KEYS[2] its fence         ARGV[2] time to live of the lock, in milliseconds
--                           ARGV[3] time to live of the fence, in milliseconds
--
-- Returns 1, or 0 when the lock has expired or is somebody else's.

if redis.call('TYPE', KEYS[1]).ok ~= 'string' or redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('PEXPIRE', KEYS[2], ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
