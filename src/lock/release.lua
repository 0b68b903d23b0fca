-- Gives a lock back, if the token still holds it (https://redis.io/docs/latest/commands/set/#patterns), to whoever has waited
-- longest for it.
--
-- KEYS[1] the lock          ARGV[1] the token
-- KEYS[2] its fence         ARGV[2] what tells this call from others with the same token
-- KEYS[3] its queue         ARGV[3] time to live of the trace, in milliseconds
--                           ARGV[4] the call that it was waited for with, optional: that leaves the queue
--
-- Returns 1, or 0 when the lock has expired or is somebody else's. A call that is repeated because its answer was lost gets
-- 1 again, by the trace that it has left.

if ARGV[4] then
  redis.call('ZREM', KEYS[3], ARGV[4] .. ' ' .. ARGV[1])
end
local own, number, call = look()
if not own then
  return (call == ARGV[2] or has_left_trace(ARGV[2])) and 1 or 0
end
if pass_on() then
  leave_trace(ARGV[2], ARGV[3])
elseif number then
  -- Under OOM nothing may be written; giving back matters more than the trace.
  pcall(set_fence, number, ARGV[2], ARGV[1], 0)
end
return 1
