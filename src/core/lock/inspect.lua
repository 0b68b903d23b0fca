-- Looks at a lock.
--
-- KEYS[1] the lock          KEYS[3] its queue
-- KEYS[2] its fence         KEYS[4] the last looks
--
-- Returns {how many wait} when it is free, else {how many wait, PTTL, fencing token, the holder's
-- name or an empty string}, the fencing token 0 for a stranger's lock.

local left = redis.call('PTTL', KEYS[1])
if left == -2 then
  return {count_waiters()}
end
local _, _, _, last, known, name = look()
return {count_waiters(), left, known and last or 0, name or ''}
