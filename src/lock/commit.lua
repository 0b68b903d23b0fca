-- Writes a result and gives the lock back in one step, if the token still holds the lock.
--
-- KEYS[1] the lock          ARGV[1] the token
-- KEYS[2] the result        ARGV[2] the result's bytes
--                           ARGV[3] time to live of the result, in milliseconds
--
-- Returns 1, or 0 when the lock has expired or is somebody else's.
--
-- The bytes hold the fencing token, so no other commit ever writes the same ones: where the lock is gone and just
-- these bytes are there, this is the repetition of a commit whose answer was lost.

if redis.call('TYPE', KEYS[1]).ok == 'string' and redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
  redis.call('DEL', KEYS[1])
  return 1
end
if redis.call('TYPE', KEYS[2]).ok == 'string' and redis.call('GET', KEYS[2]) == ARGV[2] then
  return 1
end
return 0
