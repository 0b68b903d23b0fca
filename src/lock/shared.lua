-- What the lock's scripts share. KEYS[1] is the lock, KEYS[2] its fence, KEYS[3], where there is one, its queue, `...:queue`;
-- ARGV[1] is the owner's token.

-- How long whoever is handed the lock has to take it up, in milliseconds. Longer than a waiter goes between two looks, so that a
-- signal that is lost costs nobody their turn, and so that the next ones see in time when the turn of one who died is over.
local CLAIM = 1000

-- How long a queue outlives the last waiter who looked, in milliseconds: a wait is a minute at most.
local QUEUE_TTL = 90000

-- The string at a key; false where there is none, and where a stranger has put a value of another type, of which GET is an error.
local function string_at(key)
  local value = redis.pcall('GET', key)
  if type(value) == 'table' then
    -- Any other error is one.
    return not string.find(value.err, '^WRONGTYPE') and redis.call('GET', key)
  end
  return value
end

-- Whether the token holds the lock. Whatever else is there is somebody's lock.
local function mine()
  return string_at(KEYS[1]) == ARGV[1]
end

-- The fence holds "number call owner": the last fencing token, the call that it was made for, and whose it is.
-- Returns number and call, nil where the last fencing token is somebody else's, and always the last number and its owner.
local function last_fencing_token()
  local number, call, owner = string.match(redis.call('GET', KEYS[2]) or '', '^(%d+) (%S+) (.*)$')
  number = tonumber(number) or 0
  if owner == ARGV[1] then
    return number, call, number, owner
  end
  return nil, nil, number, owner
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

-- Whether the token holds the lock without interruption since it was given this fencing token. A repetition of acquire.lua that a
-- broken connection hands over late may take a lock anew that was lost in between, for a holder that does not know of it; then the
-- fence has a greater number. A fence that was evicted tells nothing.
local function mine_since(given)
  local number = last_fencing_token()
  return mine() and (number == nil or number == given)
end

-- A key that belongs to the lock, in its slot.
local function beside(name)
  return string.gsub(KEYS[3], 'queue$', '') .. name
end

-- The lock goes to whoever has waited longest, as if their own acquire.lua had taken it, for as long as they may need to take
-- it up: they do by calling it again. If nobody waits it is free. Returns whether it was handed on.
local function pass_on(fence_ttl)
  local member = redis.call('ZPOPMIN', KEYS[3])[1]
  if member then
    local call, token = string.match(member, '^(%S+) (.*)$')
    local _, _, last = last_fencing_token()
    local fence = string.format('%.0f %s %s', next_fencing_token(last), call, token)
    -- Under OOM nothing may be written: then it is free, and they see that when they look.
    local stored = redis.pcall('SET', KEYS[2], fence, 'PX', fence_ttl)
    if not stored.err then
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
