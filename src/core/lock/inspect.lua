-- Looks at a lock.
--
-- KEYS[1] the lock          ARGV[1] `waiters` as in queue.lua
-- KEYS[2] its fence
-- KEYS[3] its queue
--
-- Returns {how many wait} when it is free, else {how many wait, PTTL, fencing token, the holder's
-- name or an empty string}, the fencing token 0 for a stranger's lock.

local waiting, left = open_queue(ARGV[1]).count(), redis.call('PTTL', KEYS[1])
if left == -2 then
  return {waiting}
end
local _, fence, _, _, known = look()
return {waiting, left, known and fence.number or 0, known and fence.name or ''}
