-- Writes results and gives the lock back in one step, to whoever has waited longest for it, if the token still holds the lock, under
-- its fencing token.
--
-- KEYS[1] the lock              ARGV[1]         the token
-- KEYS[2] its fence             ARGV[2]         the fencing token that it was given
-- KEYS[3] its queue             ARGV[3]         time to live of the trace, in milliseconds
-- KEYS[4], KEYS[5]... results   ARGV[4], ARGV[5] the first result's bytes and time to live in milliseconds
--                               ARGV[6], ARGV[7] the second's, and so on
-- further keys                  without a value and a time to live: these are removed
--
-- Returns 1, or 0 when the lock has expired or is somebody else's.
--
-- The first result's bytes hold the fencing token, so no other commit ever writes the same ones: where the lock is gone and
-- just these bytes are there, this is the repetition of a commit whose answer was lost. Where the lock was handed on, others may have
-- written there since: then the trace tells.

local own, number = look()
-- A repetition of acquire.lua that a broken connection hands over late may take a lock anew that was lost in between, for a holder that
-- does not know of it; then the fence has a greater number. A fence that was evicted tells nothing.
if own and (not number or number == tonumber(ARGV[2])) then
  for i = 4, #KEYS do
    if ARGV[2 * i - 4] then
      redis.call('SET', KEYS[i], ARGV[2 * i - 4], 'PX', ARGV[2 * i - 3])
    else
      redis.call('DEL', KEYS[i])
    end
  end
  if pass_on() then
    leave_trace(ARGV[2], ARGV[3])
  end
  return 1
end
if own then
  -- Nobody knows of this one.
  pass_on()
end
if has_left_trace(ARGV[2]) then
  return 1
end
if redis.call('MGET', KEYS[4])[1] == ARGV[4] then
  return 1
end
return 0
