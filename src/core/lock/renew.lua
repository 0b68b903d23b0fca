-- Begins the time to live of a lock anew, if the token still holds it.
--
-- KEYS[1] the lock          ARGV[1] the token
-- KEYS[2] its fence         ARGV[2] time to live of the lock, in milliseconds
--                           ARGV[3] the fencing token, optional: the lock must be held under it
--
-- Returns the fencing token, or 0 when the lock has expired or is somebody else's.

local given = tonumber(ARGV[3])
local own, fence, number, call, known = look()
-- With a greater number the lock was lost in between, and taken anew by a late repetition of
-- acquire.lua.
if not own or given and number and number ~= given then
  note_loss(given or number, false)
  return 0
end
-- Where the fence was evicted, a new number is greater than the forgotten one.
number = number or given or next_fencing_token(fence.number)
-- The time to live goes before the fence: a full Redis (OOM) takes nobody's lock.
redis.call('PEXPIRE', KEYS[1], ARGV[2])
pcall(set_fence, fence, number, call or '-', ARGV[1], ARGV[2], known and fence.name or nil)
return number
