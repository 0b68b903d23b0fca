-- The fence of a lock, written and parsed here alone. The queue's values are in queue.lua.

-- Fencing tokens stay below this: Lua and JSON count them exactly.
local NO_NUMBER = 2 ^ 53 - 1

-- A fence is "number call owner": the last fencing token, the call that it was made for, and the
-- owner's token. After an owner that lost the lock it is "number/lost call owner", `lost` being that
-- owner's fencing token. An owner that told its name has " name" at the end. A broken lock has no
-- owner: what stands there is empty, and read as nil, which equals no value of a lock. Returns a
-- table of `number`, `call`, `owner`, `lost` and `name`. `lost` is nil if nobody lost the lock, and
-- the name is nil if the owner told none. Without a fence the number is 0; a stranger's value counts
-- as none.
local function parse_fence(text)
  local number, lost, call, owner = string.match(text, '^(%d+)/?(%d*) (%S+) (.*)$')
  number, lost = tonumber(number), tonumber(lost)
  if not number or math.max(number, lost or 0) >= NO_NUMBER then
    return {number = 0}
  end
  local space, name = string.find(owner, ' ', 1, true), nil
  if space then
    owner, name = string.sub(owner, 1, space - 1), string.sub(owner, space + 1)
  end
  return {
    number = number, call = call, owner = owner ~= '' and owner or nil, lost = lost, name = name
  }
end

-- MGET passes over a stranger's value of another type. The next SET replaces it.
local function read_fence(key)
  return parse_fence(redis.call('MGET', key)[1] or '')
end

local function fence_value(number, call, owner, lost, name)
  local after = lost and string.format('/%.0f', lost) or ''
  local value = string.format('%.0f%s %s %s', number, after, call, owner or '')
  return name and value .. ' ' .. name or value
end

-- How long a fence outlives its lock's last use, in milliseconds. It covers a clock that was set
-- back, and an origin that is still at work for a holder that lost the lock: `origin_timeout` is an
-- hour at most.
local FENCE_TTL = 7200000

-- The call of a holder that gave the lock back when its work had ended begins with this.
local ENDED = 'ended:'

local function has_ended(call)
  return string.sub(call, 1, #ENDED) == ENDED
end

-- A time is in microseconds, by the server's clock.
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end
