-- Writes an entry, if the conditions hold, and ends its computing.
--
-- KEYS[1] the entry         ARGV[1] If-Match
-- KEYS[2] the lock of       ARGV[2] If-None-Match
--         its computing     ARGV[3] the value
-- KEYS[3] its fence         ARGV[4] time to live in milliseconds, for an entry that has none yet
-- KEYS[4] its queue         ARGV[5] '1' to keep the time that an entry has left
-- KEYS[5] the value,        ARGV[6] what the keys of signals begin with
--         optional, instead ARGV[7] the token of the computing, optional: it must hold the lock
--         of ARGV[3]: moved
--
-- Returns 0 when the conditions do not hold, 1 when the entry is new, 2 when it replaced another, 3
-- when the token does not hold the lock, 4 when the value to move is gone.

-- The longest time to live that Redis can add to its clock, for as long as that matters; Lua counts
-- it exactly. A stranger may have set a longer one.
local LONGEST_TTL = 4503599627370496

local function refuse(outcome)
  if KEYS[5] then
    remove(KEYS[5])
  end
  return outcome
end

if ARGV[7] and redis.call('MGET', KEYS[2])[1] ~= ARGV[7] then
  return refuse(3)
end
if not hold(KEYS[1], ARGV[1], ARGV[2]) then
  return refuse(0)
end
local left = redis.call('PTTL', KEYS[1])
local ttl = ARGV[4]
local keeps = ARGV[5] == '1' and left >= 0
if keeps then
  -- 0 is the last millisecond, and no time to live that SET would take.
  ttl = math.min(math.max(left, 1), LONGEST_TTL)
end
local waiting = waiting_calls(KEYS[2], KEYS[4])
if not KEYS[5] then
  local value = ARGV[3]
  if keeps then
    local digits = ttl_digits(ttl)
    local json = string.sub(value, TTL_OFFSET + #digits + 1)
    value = string.sub(value, 1, TTL_OFFSET) .. digits .. json
  end
  redis.call('SET', KEYS[1], value, 'PX', ttl)
elseif redis.call('EXISTS', KEYS[5]) == 1 then
  -- In this order: a refusal leaves the entry as it is.
  if keeps then
    redis.call('SETRANGE', KEYS[5], TTL_OFFSET, ttl_digits(ttl))
  end
  redis.call('PEXPIRE', KEYS[5], ttl)
  local moved = redis.pcall('RENAME', KEYS[5], KEYS[1])
  if moved.err then
    return refuse(moved)
  end
else
  return 4
end
if waiting then
  end_computing(waiting, KEYS[2], KEYS[3], KEYS[4], ARGV[6])
end
return left == -2 and 1 or 2
