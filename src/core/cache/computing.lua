-- Ending the computing of an entry.

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
  local waiters = open_queue('\n' .. wake_prefix .. '\n\n')
  for _, call in ipairs(calls) do
    waiters.signal(call)
  end
  pcall(remove, lock, fence, queue)
end
