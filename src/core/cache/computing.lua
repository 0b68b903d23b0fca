-- Ending the computing of an entry.

-- How long a signal waits for a waiter that is not listening yet, in milliseconds.
local SIGNAL_TTL = 1000

-- Takes the task from whoever has it and wakes all who wait: they find what was stored.
local function end_computing(lock, fence, queue, wake_prefix)
  if redis.call('EXISTS', lock, queue) == 0 then
    return
  end
  local members = open_queue()
  for _, member in ipairs(members.call('ZRANGE', queue, 0, -1)) do
    local call = members.parse_member(member)
    if call then
      -- A signal only makes the waiter look sooner, so it may be refused.
      redis.pcall('RPUSH', wake_prefix .. call, '1')
      redis.pcall('PEXPIRE', wake_prefix .. call, SIGNAL_TTL)
    end
  end
  redis.call('DEL', lock, fence, queue)
end
