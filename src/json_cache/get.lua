-- Reads an entry and how long it has left, in one round trip.
--
-- KEYS[1] the entry
--
-- Returns {} when there is none, {PTTL} when a stranger's value of another type is there, else {PTTL, value}.

local left = redis.call('PTTL', KEYS[1])
if left == -2 then
  return {}
end
if redis.call('TYPE', KEYS[1]).ok ~= 'string' then
  return {left}
end
return {left, redis.call('GET', KEYS[1])}
