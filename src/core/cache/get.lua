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
local value
if ARGV[1] then
  -- One byte more than may be returned tells that there are more.
  value = redis.pcall('GETRANGE', KEYS[1], 0, ARGV[1])
  if type(value) == 'string' and #value > tonumber(ARGV[1]) then
    local line = string.sub(value, 1, LINE)
    if tag_in(line) then
      return {left, line, 1}
    end
    value = redis.pcall('GET', KEYS[1])
  end
else
  value = redis.pcall('GET', KEYS[1])
end
if type(value) ~= 'table' then
  return {left, value}
end
return string.find(value.err, '^WRONGTYPE') and {left} or value
