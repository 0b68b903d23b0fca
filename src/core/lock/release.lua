-- Gives a lock back, if the token still holds it
-- (https://redis.io/docs/latest/commands/set/#patterns), to the longest waiter.
--
-- KEYS[1] the lock          ARGV[1] the token
-- KEYS[2] its fence         ARGV[2] the call: tells this release from others of the token, and says
--                                   whether the holder's work has ended
-- KEYS[3] its queue         ARGV[3] `waiters` as in queue.lua, with the time to live of the proof
--                                   in milliseconds
--                           ARGV[4] what the keys of cancellations begin with, optional: calls that
--                                   wait with the token are cancelled
--                           ARGV[5] time to live of a cancellation, in milliseconds
--
-- Returns 1, or 0 when the lock has expired or is somebody else's and no call waits with the token.
-- A call that is repeated because its answer was lost gets 1 again, by the proof that it has left.

local own, fence, number, call = look()
local cancelled = false
if ARGV[4] then
  local queue = open_queue(ARGV[3])

  -- Cancels a call that waits, and signals it.
  local function cancel(waiter)
    redis.call('SET', ARGV[4] .. waiter, '1', 'PX', ARGV[5])
    queue.signal(waiter)
  end

  -- It looks before it cancels: an ACL may forbid the look.
  local members = queue.call('ZRANGE', KEYS[3], 0, -1)
  if own and call and redis.call('PTTL', KEYS[1]) <= queue.SILENCE then
    -- It may have been handed to a waiter that has not claimed it yet.
    cancel(call)
  end
  for _, member in ipairs(members) do
    local waiter, token = queue.parse_member(member)
    if token == ARGV[1] then
      cancel(waiter)
      queue.leave(member)
      cancelled = true
    end
  end
end

if own then
  local queue = give_back(ARGV[3], number, ARGV[2], fence)
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
note_loss(number, has_ended(ARGV[2]))
return 0
