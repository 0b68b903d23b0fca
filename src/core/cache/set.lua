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
    redis.call('DEL', KEYS[5])
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
if not KEYS[5] then
  redis.call('SET', KEYS[1], ARGV[3], 'PX', ttl)
elseif redis.call('EXISTS', KEYS[5]) == 1 then
  -- In this order: a refusal leaves the entry as it is.
  redis.call('PEXPIRE', KEYS[5], ttl)
  redis.call('RENAME', KEYS[5], KEYS[1])
else
  return 4
end
if keeps then
  note_ttl(KEYS[1], ttl)
end
end_computing(KEYS[2], KEYS[3], KEYS[4], ARGV[6])
return left == -2 and 1 or 2
