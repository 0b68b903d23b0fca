-- Looks at a lock.
--
-- KEYS[1] the lock
-- KEYS[2] its fence
--
-- Returns {} when it is free, else {PTTL, fencing token}, the fencing token 0 where a stranger holds the lock.

local left = redis.call('PTTL', KEYS[1])
if left == -2 then
  return {}
end
if redis.call('TYPE', KEYS[1]).ok ~= 'string' then
  return {left, 0}
end
local owner = redis.call('GET', KEYS[1])
local number, _, last_owner = string.match(redis.call('GET', KEYS[2]) or '', '^(%d+) (%S+) (.*)$')
return {left, last_owner == owner and tonumber(number) or 0}
