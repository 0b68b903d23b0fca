-- Cancels a call of acquire.lua whose answer was lost: it waits no longer, and takes nothing should
-- it yet arrive.
--
-- KEYS[1] the lock              ARGV[1] the token
-- KEYS[2] its fence             ARGV[2] the call
-- KEYS[3] its queue             ARGV[3] time to live of the cancellation, in milliseconds
-- KEYS[4] the mark of the        ARGV[4] `waiters` as in queue.lua
--         token's cancelled
--         calls                 ARGV[5] 1 if the token keeps a lock that it holds, else 0: a client
--                                       that brought it may be trying again
--
-- Returns 1.

-- A full Redis may refuse this. Giving the lock back matters more.
mark_cancelled(KEYS[4], ARGV[2], 0, ARGV[3])
local queue = open_queue(ARGV[4])
queue.leave(queue.member(ARGV[2], ARGV[1]))
local own, fence, number = look()
if own and ARGV[5] == '0' then
  -- The caller was told of an error, so its work never began.
  give_back(ARGV[4], number, ENDED .. ARGV[2], fence)
end
return 1
