-- Writes results and gives the lock back in one step, if the token still holds the lock.
--
-- KEYS[1] the lock              ARGV[1]         the token
-- KEYS[2], KEYS[3]... results   ARGV[2], ARGV[3] the first result's bytes and time to live in milliseconds
--                               ARGV[4], ARGV[5] the second's, and so on
--
-- Returns 1, or 0 when the lock has expired or is somebody else's.
--
-- The first result's bytes hold the fencing token, so no other commit ever writes the same ones: where the lock is gone and
-- just these bytes are there, this is the repetition of a commit whose answer was lost.

if mine() then
  for i = 2, #KEYS do
    redis.call('SET', KEYS[i], ARGV[2 * i - 2], 'PX', ARGV[2 * i - 1])
  end
  redis.call('DEL', KEYS[1])
  return 1
end
if redis.call('TYPE', KEYS[2]).ok == 'string' and redis.call('GET', KEYS[2]) == ARGV[2] then
  return 1
end
return 0
