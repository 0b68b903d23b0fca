-- Reads an entry and how long it has left, in one round trip.
--
-- KEYS[1] the entry         ARGV[1] the longest value to return whole, in bytes, optional
--
-- Returns {} when there is none, {PTTL} when a stranger's value of another type is there, {PTTL,
-- value}, or for a longer entry {PTTL, its first line, 1}: a long value costs several times as much
-- here as by GET. A stranger's value is always returned whole.

local left = redis.call('PTTL', KEYS[1])
if left == -2 then
  return {}
end
if ARGV[1] then
  local length = redis.pcall('STRLEN', KEYS[1])
  if type(length) == 'number' and length > tonumber(ARGV[1]) then
    local line = redis.call('GETRANGE', KEYS[1], 0, LINE - 1)
    if tag_in(line) then
      return {left, line, 1}
    end
  end
end
local value = redis.pcall('GET', KEYS[1])
if type(value) ~= 'table' then
  return {left, value}
end
return string.find(value.err, '^WRONGTYPE') and {left} or value
