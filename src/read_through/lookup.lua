-- What is known of a user who is read from the origin, in one round trip.
--
-- KEYS[1] what was read          KEYS[3] the lock of whoever is reading
-- KEYS[2] how the last reading   KEYS[4] its fence
--         ended, where that left
--         nothing to keep
--
-- Returns {what was read, its PTTL, how the last reading ended, fencing token of the reading under way}; an empty string for what is
-- not there or is a stranger's; the fencing token 0 where nobody is reading, and 1 where it is not known who.

local function text(key)
  local value = redis.pcall('GET', key)
  return type(value) == 'string' and value or ''
end

local reading = 0
if redis.call('EXISTS', KEYS[3]) == 1 then
  local number, _, owner = string.match(text(KEYS[4]), '^(%d+) (%S+) (.*)$')
  reading = owner == text(KEYS[3]) and tonumber(number) or 1
end
return {text(KEYS[1]), redis.call('PTTL', KEYS[1]), text(KEYS[2]), reading}
