-- Ending the computing of an entry.

-- How long a signal waits for a waiter that is not listening yet, in milliseconds.
local SIGNAL_TTL = 1000

-- The calls that wait for an entry; nil where nobody computes it. Whoever stores an entry looks
-- before, since an ACL may forbid the look.
local function waiting_calls(lock, queue)
  if redis.call('EXISTS', lock, queue) == 0 then
    return nil
  end
  local calls, members = {}, open_queue()
  for _, member in ipairs(members.call('ZRANGE', queue, 0, -1)) do
    calls[#calls + 1] = members.parse_member(member)
  end
  return calls
end

-- Takes the task from whoever has it and wakes all who wait: they find what was stored. That is
-- done, so nothing that is refused here turns the answer.
local function end_computing(calls, lock, fence, queue, wake_prefix)
  for _, call in ipairs(calls) do
    redis.pcall('RPUSH', wake_prefix .. call, '1')
    redis.pcall('PEXPIRE', wake_prefix .. call, SIGNAL_TTL)
  end
  pcall(remove, lock, fence, queue)
end
