-- Gives a lock back, if the token still holds it
-- (https://redis.io/docs/latest/commands/set/#patterns), to the longest waiter.
--
-- KEYS[1] the lock          ARGV[1] the token
-- KEYS[2] its fence         ARGV[2] the call: tells this release from others of the token, and says
--                                   whether the holder's work has ended
-- KEYS[3] its queue         ARGV[3] what the keys of signals begin with
-- KEYS[4] the last looks    ARGV[4] time to live of the proof, in milliseconds
-- KEYS[5] the proof         ARGV[5] what the keys of cancellations begin with, optional: calls that
--                                   wait with the token are cancelled
--                           ARGV[6] time to live of a cancellation, in milliseconds
--
-- Returns 1, or 0 when the lock has expired or is somebody else's and no call waits with the token.
-- A call that is repeated because its answer was lost gets 1 again, by the proof that it has left.

-- Cancels a call that waits, and signals it.
local function cancel(waiter)
  redis.call('SET', ARGV[5] .. waiter, '1', 'PX', ARGV[6])
  local signal = ARGV[3] .. waiter
  redis.pcall('RPUSH', signal, '1')
  redis.pcall('PEXPIRE', signal, SILENCE)
end

local own, fence = look()
local number, call = fence.own_number, fence.own_call
local cancelled = false
if ARGV[5] then
  if own and call and redis.call('PTTL', KEYS[1]) <= SILENCE then
    -- It may have been handed to a waiter that has not claimed it yet.
    cancel(call)
  end
  local queue = open_queue()
  for _, member in ipairs(queue.call('ZRANGE', KEYS[3], 0, -1)) do
    local waiter, token = queue.parse_member(member)
    if token == ARGV[1] then
      queue.leave(member)
      cancel(waiter)
      cancelled = true
    end
  end
end

if own then
  if give_back(fence, ARGV[2], number, ARGV[3]) then
    leave_proof(KEYS[5], ARGV[4])
  end
  return 1
end
if cancelled then
  leave_proof(KEYS[5], ARGV[4])
  return 1
end
if call == ARGV[2] or redis.call('EXISTS', KEYS[5]) == 1 then
  return 1
end
note_loss(number, has_ended(ARGV[2]))
return 0
