-- What the lock's scripts share. KEYS[1] is the lock, KEYS[2] its fence, KEYS[3], where there is one, its queue, `...:queue`;
-- ARGV[1] is the owner's token.

-- How long whoever is handed the lock has to take it up, in milliseconds. Longer than a waiter goes between two looks, so that a
-- signal that is lost costs nobody their turn, and so that the next ones see in time when the turn of one who died is over.
local CLAIM = 1000

-- How long a queue outlives the last waiter who looked, in milliseconds: a wait is a minute at most.
local QUEUE_TTL = 90000

-- How long a fence outlives its lock's last use, in milliseconds, so that idle users leave no key behind for good.
local FENCE_TTL = 604800000

-- The fence holds "number call owner": the last fencing token, the call that it was made for, and whose it is. Without a fence the number
-- is 0. What a stranger has put there as a value of another type is an error, and stays.
local function fence()
  local number, call, owner = string.match(redis.call('GET', KEYS[2]) or '', '^(%d+) (%S+) (.*)$')
  return tonumber(number) or 0, call, owner
end

-- One look at lock and fence. Returns
--   whether the token holds the lock; whatever else is there, also a value of another type, which MGET passes over, is somebody's lock
--   the token's fencing token and its call, nil where the last one is somebody else's
--   the last number, 0 where there is none
--   whether the holder is the one that the fence speaks of, and not a stranger
local function look()
  local token = redis.call('MGET', KEYS[1])[1]
  local last, call, owner = fence()
  local own, known = token == ARGV[1], token == owner
  if owner == ARGV[1] then
    return own, last, call, last, known
  end
  return own, nil, nil, last, known
end

local function now()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

-- The greater of the last number plus one and the server's clock in microseconds: it goes on increasing when the fence has
-- expired or was evicted, and when the clock was set back.
local function next_fencing_token(last)
  return math.max(last + 1, now())
end

-- The fence of a lock with this time to live, in milliseconds, is kept for longer: one that expired before its lock would forget whose
-- number it has.
local function set_fence(number, call, owner, ttl)
  local value = string.format('%.0f %s %s', number, call, owner)
  redis.call('SET', KEYS[2], value, 'PX', math.max(FENCE_TTL, 2 * ttl))
end

-- A key that belongs to the lock, in its slot.
local function beside(name)
  return string.gsub(KEYS[3], 'queue$', '') .. name
end

-- The lock goes to whoever has waited longest, as if their own acquire.lua had taken it, for as long as they may need to take
-- it up: they do by calling it again. If nobody waits it is free. Returns whether it was handed on.
local function pass_on()
  local member = redis.call('ZPOPMIN', KEYS[3])[1]
  if member then
    local call, token = string.match(member, '^(%S+) (.*)$')
    local last = fence()
    -- Under OOM nothing may be written: then it is free, and they see that when they look.
    if pcall(set_fence, next_fencing_token(last), call, token, CLAIM) then
      redis.call('SET', KEYS[1], token, 'PX', CLAIM)
      local signal = beside('wake:' .. call)
      redis.call('RPUSH', signal, '1')
      redis.call('PEXPIRE', signal, CLAIM)
      return true
    end
  end
  redis.call('DEL', KEYS[1])
  return false
end

-- A lock that was handed on has a new owner in its fence, where the last one's trace would be: it is left here instead, for as long as
-- a repetition of the call is waited for.
local function leave_trace(id, ttl)
  redis.pcall('SET', beside('ended:' .. id), '1', 'PX', ttl)
end

local function has_left_trace(id)
  return redis.call('EXISTS', beside('ended:' .. id)) == 1
end
