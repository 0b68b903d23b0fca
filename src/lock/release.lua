-- Gives a lock back, if the token still holds it (https://redis.io/docs/latest/commands/set/#patterns), to whoever has waited
-- longest for it.
--
-- KEYS[1] the lock          ARGV[1] the token
-- KEYS[2] its fence         ARGV[2] what tells this call from others with the same token
-- KEYS[3] its queue         ARGV[3] time to live of the fence, in milliseconds
--                           ARGV[4] time to live of the trace, in milliseconds
--                           ARGV[5] the call that it was waited for with, optional: that leaves the queue
--
-- Returns 1, or 0 when the lock has expired or is somebody else's. A call that is repeated because its answer was lost gets
-- 1 again, by the trace that it has left.

if ARGV[5] then
  redis.call('ZREM', KEYS[3], ARGV[5] .. ' ' .. ARGV[1])
end
local number, call = last_fencing_token()
if not mine() then
  return (call == ARGV[2] or has_left_trace(ARGV[2])) and 1 or 0
end
if pass_on(ARGV[3]) then
  leave_trace(ARGV[2], ARGV[4])
elseif number then
  -- Under OOM nothing may be written; giving back matters more than the trace.
  redis.pcall('SET', KEYS[2], string.format('%.0f %s %s', number, ARGV[2], ARGV[1]), 'PX', ARGV[3])
end
return 1
