-- What is known of a user that is read from the origin, in one round trip.
--
-- KEYS[1] the reading                KEYS[3] the lock of the fetch
-- KEYS[2] the outcome of the last    KEYS[4] its fence
--         fetch that left no reading
--
-- Returns {reading, its PTTL, outcome, fencing token of the fetch under way}: an empty string for what
-- is absent or a stranger's; the fencing token is 0 without a fetch, and 1 where it is not known.

local function text(key)
  local value = redis.pcall('GET', key)
  return type(value) == 'string' and value or ''
end

local fetching = 0
if redis.call('EXISTS', KEYS[3]) == 1 then
  local known, number, _, owner = pcall(read_fence, KEYS[4])
  fetching = known and owner == text(KEYS[3]) and number or 1
end
return {text(KEYS[1]), redis.call('PTTL', KEYS[1]), text(KEYS[2]), fetching}
