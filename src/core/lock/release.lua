-- Gives a lock back, if the token still holds it
-- (https://redis.io/docs/latest/commands/set/#patterns), to the longest waiter.
--
-- KEYS[1] the lock          ARGV[1] the token
-- KEYS[2] its fence         ARGV[2] the call: tells this release from others of the token, and says
--                                   whether the holder's work has ended
-- KEYS[3] its queue         ARGV[3] what the keys of signals begin with
-- KEYS[4] the proof         ARGV[4] time to live of the proof, in milliseconds
--                           ARGV[5] the waiter's call, optional: it leaves the queue
--
-- Returns 1, or 0 when the lock has expired or is somebody else's. A call that is repeated because
-- its answer was lost gets 1 again, by the proof that it has left.

if ARGV[5] then
  redis.call('ZREM', KEYS[3], queue_member(ARGV[5], ARGV[1]))
end
local own, number, call = look()
if not own then
  return (call == ARGV[2] or redis.call('EXISTS', KEYS[4]) == 1) and 1 or 0
end
ended = has_ended(ARGV[2])
if pass_on(ARGV[3]) then
  leave_proof(KEYS[4], ARGV[4])
elseif number then
  -- A full Redis may refuse this. Giving the lock back matters more than the proof.
  pcall(set_fence, number, ARGV[2], ARGV[1], 0)
end
return 1
