-- Gives a lock back, if the token still holds it
-- (https://redis.io/docs/latest/commands/set/#patterns), to the longest waiter.
--
-- KEYS[1] the lock          ARGV[1] the token
-- KEYS[2] its fence         ARGV[2] the call: tells this release from others of the token, and says
--                                   whether the holder's work has ended
-- KEYS[3] its queue         ARGV[3] `waiters` as in queue.lua, with the time to live of the proof
--                                   in milliseconds
-- KEYS[4] the mark of the   ARGV[4] the fencing token of the holder, or an empty string where it is
--         token's cancelled         not known
--         calls, optional   ARGV[5] with KEYS[4]: the token's calls that wait are cancelled, for as
--                                   many milliseconds
--
-- Returns 1, or 0 when the lock has expired or is somebody else's and no call waits with the token.
-- A call that is repeated because its answer was lost gets 1 again, by the proof that it has left.

local own, fence, number, call = look()
local work_ended = has_ended(ARGV[2])
local cancelled = false
if KEYS[4] then
  local queue = open_queue(ARGV[3])
  -- It looks before it cancels: an ACL may forbid the look.
  local members = queue.call('ZRANGE', KEYS[3], 0, -1, 'WITHSCORES')
  -- An arrival may be later than the clock that was set back.
  local arrived_by = math.max(now(), fence.number)
  local waiting = {}
  for i = 1, #members, 2 do
    arrived_by = math.max(arrived_by, queue.arrival(members[i + 1]) or 0)
    local waiter, token = queue.parse_member(members[i])
    if token == ARGV[1] then
      waiting[members[i]] = waiter
      cancelled = true
    end
  end
  -- A token that the service made has one call, and that has ended. Any other token may have calls
  -- that are in no queue and would come back: one that was just handed the lock, was passed over, or
  -- lost its place with the data of Redis.
  if cancelled or not own or not string.find(call or '', '^%x+$') then
    -- One that was just handed the lock may have arrived later than all of these: it is named.
    local marked = mark_cancelled(KEYS[4], own and call or nil, arrived_by, ARGV[5])
    if cancelled and not own and marked.err then
      return marked
    end
  end
  if own and call and redis.call('PTTL', KEYS[1]) <= queue.SILENCE then
    -- It may have been handed to a waiter that has not claimed it yet.
    queue.signal(call)
  end
  for member, waiter in pairs(waiting) do
    queue.signal(waiter)
    queue.leave(member)
  end
end

if own then
  -- Where the fence was evicted, the next reader would take work for ended that may go on.
  number = number or not work_ended and (tonumber(ARGV[4]) or next_fencing_token(fence.number))
  local queue = give_back(ARGV[3], number or nil, ARGV[2], fence)
  if queue then
    queue.leave_proof(ARGV[2], '1')
  end
  return 1
end
local queue = open_queue(ARGV[3])
if cancelled then
  queue.leave_proof(ARGV[2], '1')
  return 1
end
if call == ARGV[2] or redis.call('EXISTS', queue.proof_prefix .. ARGV[2]) == 1 then
  return 1
end
note_loss(number or tonumber(ARGV[4]), work_ended)
return 0
