-- Writes results and gives the lock back in one step, to the longest waiter, if the token still
-- holds the lock under its fencing token. `first_key` and `first_argument` are where the results
-- begin: 6 and 5, unless a script puts keys and arguments of its own before them.
--
-- KEYS[1] the lock              ARGV[1]          the token
-- KEYS[2] its fence             ARGV[2]          its fencing token
-- KEYS[3] its queue             ARGV[3]          what the keys of signals begin with
-- KEYS[4] the last looks        ARGV[4]          time to live of the proof, in milliseconds
-- KEYS[5] the proof
-- KEYS[6], KEYS[7]... results   ARGV[5], ARGV[6] the first result and its time to live, in
--                                                milliseconds
--                               ARGV[7], ARGV[8] the second, and so on
-- further keys                  without a value and a time to live: these are removed
--
-- Returns 1, or 0 when the lock has expired or is somebody else's.
--
-- Each result holds the fencing token, so no other commit writes the same bytes: where the lock is
-- gone and the bytes are there, this call repeats a commit whose answer was lost. Where the lock
-- was handed on, others may have written there since: then the proof tells.

local function commit(first_key, first_argument)
  -- Where in ARGV the value of a result is.
  local function argument_of(result)
    return 2 * (result - first_key) + first_argument
  end

  local own, fence = look()
  local number = fence.own_number
  -- A late repetition of acquire.lua may take a lock anew that was lost in between, for a holder
  -- that does not know of it; then the fence has a greater number. An evicted fence tells nothing.
  if own and (not number or number == tonumber(ARGV[2])) then
    for i = first_key, #KEYS do
      local value = argument_of(i)
      if ARGV[value] then
        redis.call('SET', KEYS[i], ARGV[value], 'PX', ARGV[value + 1])
      end
    end
    -- Readers of the user learn from the fence that the work has ended.
    if give_back(fence, ENDED .. ARGV[2], tonumber(ARGV[2]), ARGV[3]) then
      leave_proof(KEYS[5], ARGV[4])
    end
    -- Last, since the fence itself may be among what is removed.
    for i = first_key, #KEYS do
      if not ARGV[argument_of(i)] then
        redis.call('DEL', KEYS[i])
      end
    end
    return 1
  end
  if own then
    -- The holder does not know of this acquisition.
    pass_on(ARGV[3])
  end
  if redis.call('EXISTS', KEYS[5]) == 1 then
    return 1
  end
  for i = first_key, #KEYS do
    local value = ARGV[argument_of(i)]
    if value and redis.call('MGET', KEYS[i])[1] == value then
      return 1
    end
  end
  note_loss(tonumber(ARGV[2]), true)
  return 0
end
