-- Looks at a lock.
--
-- KEYS[1] the lock          KEYS[3] its queue
-- KEYS[2] its fence         KEYS[4] the last looks
--
-- Returns {how many wait} when it is free, else {how many wait, PTTL, fencing token, the holder's
-- name or an empty string}, the fencing token 0 for a stranger's lock.

local waiting, left = open_queue().count(), redis.call('PTTL', KEYS[1])
if left == -2 then
  return {waiting}
end
local _, fence = look()
return {waiting, left, fence.holder and fence.number or 0, fence.holder_name or ''}
