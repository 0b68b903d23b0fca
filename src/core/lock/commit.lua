-- Writes results and gives the lock back in one step, to the longest waiter, if the token still
-- holds the lock under its fencing token.
--
-- KEYS[1] the lock              ARGV[1]          the token
-- KEYS[2] its fence             ARGV[2]          its fencing token
-- KEYS[3] its queue             ARGV[3]          what the keys of signals begin with
-- KEYS[4] the proof             ARGV[4]          time to live of the proof, in milliseconds
-- KEYS[5], KEYS[6]... results   ARGV[5], ARGV[6] the first result and its time to live in milliseconds
--                               ARGV[7], ARGV[8] the second, and so on
-- further keys                  without a value and a time to live: these are removed
--
-- Returns 1, or 0 when the lock has expired or is somebody else's.
--
-- The first result holds the fencing token, so no other commit writes the same bytes: where the
-- lock is gone and the bytes are there, this call repeats a commit whose answer was lost. Where the
-- lock was handed on, others may have written there since: then the proof tells.

local FIRST_RESULT = 5

local own, number = look()
-- A late repetition of acquire.lua may take a lock anew that was lost in between, for a holder that
-- does not know of it; then the fence has a greater number. An evicted fence tells nothing.
if own and (not number or number == tonumber(ARGV[2])) then
  for i = FIRST_RESULT, #KEYS do
    local value = 2 * i - FIRST_RESULT
    if ARGV[value] then
      redis.call('SET', KEYS[i], ARGV[value], 'PX', ARGV[value + 1])
    else
      redis.call('DEL', KEYS[i])
    end
  end
  ended = true
  if pass_on(ARGV[3]) then
    leave_proof(KEYS[4], ARGV[4])
  else
    -- Readers of the user learn from it that the work has ended. A full Redis may refuse this.
    pcall(set_fence, tonumber(ARGV[2]), ENDED .. ARGV[2], ARGV[1], 0)
  end
  return 1
end
if own then
  -- The holder does not know of this acquisition.
  pass_on(ARGV[3])
end
if redis.call('EXISTS', KEYS[4]) == 1 then
  return 1
end
if redis.call('MGET', KEYS[FIRST_RESULT])[1] == ARGV[FIRST_RESULT] then
  return 1
end
return 0
