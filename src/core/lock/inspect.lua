-- Looks at a lock.
--
-- KEYS[1] the lock
-- KEYS[2] its fence
--
-- Returns {} when it is free, else {PTTL, fencing token}, the fencing token 0 for a stranger's lock.

local left = redis.call('PTTL', KEYS[1])
if left == -2 then
  return {}
end
local _, _, _, last, known = look()
return {left, known and last or 0}
