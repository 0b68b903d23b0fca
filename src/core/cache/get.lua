-- Reads an entry and how long it has left, in one round trip.
--
-- KEYS[1] the entry
--
-- Returns {} when there is none, {PTTL} when a stranger's value of another type is there, else {PTTL, value}.

local left = redis.call('PTTL', KEYS[1])
if left == -2 then
  return {}
end
local value = redis.pcall('GET', KEYS[1])
if type(value) ~= 'table' then
  return {left, value}
end
return string.find(value.err, '^WRONGTYPE') and {left} or value
