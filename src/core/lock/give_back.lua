-- Giving a lock back. KEYS[1] to KEYS[3] are the lock, its fence and its queue; ARGV[1] is the
-- owner's token.

-- Hands the lock to the longest waiter: the script writes the waiter's token into the lock, as the
-- waiter's own acquire.lua would. The waiter claims it by calling acquire.lua again. If nobody
-- waits, or where Redis refuses any of this, the lock is free, and waiters see that when they look.
-- Returns the queue if the lock was handed on, else nil. `waiters` is as in queue.lua.
--
-- The rest is for a lock that the token holds under the fencing token `number`; nil leaves the
-- fence as it is. `before` is the fence that is there. If nobody waits, it remembers `mark`, the
-- call that gave the lock back. The mark begins with ENDED where the holder's work has ended or
-- never began. Without that, readers of the user and the next acquisition take the holder for one
-- that may still be at work.
local function give_back(waiters, number, mark, before)
  ended = mark ~= nil and has_ended(mark)
  -- Mostly nobody waits. Where that is not told, it is found out below.
  if redis.pcall('EXISTS', KEYS[3]) ~= 0 then
    local queue = open_queue(waiters)
    local allowed, handed_on = pcall(queue.hand_over)
    if allowed and handed_on then
      return queue
    end
  end
  remove(KEYS[1])
  if number then
    -- A full Redis may refuse this. Giving the lock back matters more.
    pcall(set_fence, before, number, mark, ARGV[1], 0)
  end
  return nil
end
