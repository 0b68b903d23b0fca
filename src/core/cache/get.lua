-- Reads an entry and how long it has left, in one step.
--
-- KEYS[1] the entry         ARGV[1] the longest value to return whole, in bytes
--                           ARGV[2] how many bytes to return of a longer one
--
-- Returns {} when there is none, {PTTL} when a stranger's value of another type is there, {PTTL,
-- value}, or for a longer value {PTTL, its beginning, 1}: a long value costs several times as much
-- here as by GET.

local left = redis.call('PTTL', KEYS[1])
if left == -2 then
  return {}
end
-- One byte more than may be returned tells that there are more.
local value = redis.pcall('GETRANGE', KEYS[1], 0, ARGV[1])
if type(value) == 'table' then
  return string.find(value.err, '^WRONGTYPE') and {left} or value
end
if #value > tonumber(ARGV[1]) then
  return {left, string.sub(value, 1, ARGV[2]), 1}
end
return {left, value}
