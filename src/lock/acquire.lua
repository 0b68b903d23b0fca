-- Takes the lock for a token, or says how long its holder has left.
--
-- KEYS[1] the lock          ARGV[1] the token
-- KEYS[2] its fence         ARGV[2] time to live of the lock, in milliseconds
--                           ARGV[3] time to live of the fence, in milliseconds
--
-- Returns {1, fencing token} when the token holds the lock now, also when it held it before (the answer to an
-- earlier call was lost): then the time to live begins anew and the fencing token stays. Else {0, PTTL of the lock}.
--
-- The fence holds "number token": the last fencing token and the owner it was given to. A number is the greater
-- of its predecessor plus one and the server's clock in microseconds, so that it goes on increasing when the fence
-- has expired or was evicted, and when the clock was set back.

local function mine()
  -- A stranger may have put a value of any type there; GET on a list would be an error, not somebody's lock.
  return redis.call('TYPE', KEYS[1]).ok == 'string' and redis.call('GET', KEYS[1]) == ARGV[1]
end

local held = redis.call('EXISTS', KEYS[1]) == 1
if held and not mine() then
  return {0, redis.call('PTTL', KEYS[1])}
end

local number, owner = string.match(redis.call('GET', KEYS[2]) or '', '^(%d+) (.*)$')
number = tonumber(number) or 0
if not (held and owner == ARGV[1]) then
  local now = redis.call('TIME')
  number = math.max(number + 1, now[1] * 1000000 + now[2])
end

-- The fence goes first: should Redis refuse to store anything (OOM), no lock is left behind.
redis.call('SET', KEYS[2], string.format('%.0f %s', number, ARGV[1]), 'PX', ARGV[3])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {1, number}
