-- Writes results and gives the lock back in one step, to the longest waiter, if the token still
-- holds the lock under its fencing token. `first_key` and `first_argument` are where the results
-- begin: 4 and 4, unless a script puts keys and arguments of its own before them.
--
-- KEYS[1] the lock              ARGV[1]          the token
-- KEYS[2] its fence             ARGV[2]          its fencing token
-- KEYS[3] its queue             ARGV[3]          `waiters` as in queue.lua, with the time to live of
--                                                the proof in milliseconds
-- KEYS[4], KEYS[5]... results   ARGV[4], ARGV[5] the first result and its time to live, in
--                                                milliseconds
--                               ARGV[6], ARGV[7] the second, and so on
-- further keys                  without a value and a time to live: these are removed
--
-- Returns 1, or 0 when the lock has expired or is somebody else's.
--
-- Each result holds the fencing token, so no other commit writes the same bytes: where the lock is
-- gone and the bytes are there, this call repeats a commit whose answer was lost. Where the lock
-- was handed on, others may have written there since: then the proof tells.

local function commit(first_key, first_argument)
  -- Where in ARGV the value of a result is: so far behind twice its place in KEYS.
  local behind = first_argument - 2 * first_key
  local own, fence, number = look()
  -- A late repetition of acquire.lua may take a lock anew that was lost in between, for a holder
  -- that does not know of it; then the fence has a greater number. An evicted fence tells nothing.
  if own and (not number or fence.digits == ARGV[2]) then
    for i = first_key, #KEYS do
      local value = 2 * i + behind
      if ARGV[value] then
        redis.call('SET', KEYS[i], ARGV[value], 'PX', ARGV[value + 1])
      end
    end
    -- The results are written, so nothing that is refused from here on turns the answer.
    -- Readers of the user learn from the fence that the work has ended.
    local mark = ENDED .. ARGV[2]
    local allowed, queue = pcall(give_back, ARGV[3], number or tonumber(ARGV[2]), mark, fence)
    if allowed and queue then
      queue.leave_proof(ARGV[2], '1')
    end
    -- Last, since the fence itself may be among what is removed.
    for i = first_key, #KEYS do
      if not ARGV[2 * i + behind] then
        pcall(remove, KEYS[i])
      end
    end
    return 1
  end
  if own then
    -- The holder does not know of this acquisition.
    give_back(ARGV[3])
  end
  if redis.call('EXISTS', open_queue(ARGV[3]).proof_prefix .. ARGV[2]) == 1 then
    return 1
  end
  for i = first_key, #KEYS do
    local value = ARGV[2 * i + behind]
    if value and redis.call('MGET', KEYS[i])[1] == value then
      return 1
    end
  end
  note_loss(tonumber(ARGV[2]), true)
  return 0
end
