-- Writes results and gives the lock back in one step, if the token still holds the lock, under
-- its fencing token.
--
-- KEYS[1] the lock              ARGV[1]         the token
-- KEYS[2] its fence             ARGV[2]         the fencing token that it was given
-- KEYS[3], KEYS[4]... results   ARGV[3], ARGV[4] the first result's bytes and time to live in milliseconds
--                               ARGV[5], ARGV[6] the second's, and so on
-- further keys                  without a value and a time to live: these are removed
--
-- Returns 1, or 0 when the lock has expired or is somebody else's.
--
-- The first result's bytes hold the fencing token, so no other commit ever writes the same ones: where the lock is gone and
-- just these bytes are there, this is the repetition of a commit whose answer was lost.

if mine_since(tonumber(ARGV[2])) then
  for i = 3, #KEYS do
    if ARGV[2 * i - 3] then
      redis.call('SET', KEYS[i], ARGV[2 * i - 3], 'PX', ARGV[2 * i - 2])
    else
      redis.call('DEL', KEYS[i])
    end
  end
  redis.call('DEL', KEYS[1])
  return 1
end
if mine() then
  -- Nobody knows of this one.
  redis.call('DEL', KEYS[1])
end
if redis.call('TYPE', KEYS[3]).ok == 'string' and redis.call('GET', KEYS[3]) == ARGV[3] then
  return 1
end
return 0
