-- The values that the lock's scripts store, written and parsed here alone.

-- A fence is "number call owner": the last fencing token, the call that it was made for, and the
-- owner's token. After an owner that lost the lock it is "number/lost call owner", `lost` being that
-- owner's fencing token. An owner that told its name has " name" at the end. Returns number, call,
-- owner, lost, name; the number is 0 without a fence, `lost` is nil where nobody lost the lock, and
-- the name is nil where the owner told none. A stranger's value of another type is an error, and
-- stays.
local function read_fence(key)
  local text = redis.call('GET', key) or ''
  local number, lost, call, owner = string.match(text, '^(%d+)/?(%d*) (%S+) (.*)$')
  local space, name = owner and string.find(owner, ' ', 1, true), nil
  if space then
    owner, name = string.sub(owner, 1, space - 1), string.sub(owner, space + 1)
  end
  return tonumber(number) or 0, call, owner, tonumber(lost), name
end

local function fence_value(number, call, owner, lost, name)
  local after = lost and string.format('/%.0f', lost) or ''
  local value = string.format('%.0f%s %s %s', number, after, call, owner)
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

-- A member of a queue is "call token": the waiter's call and its token. A field of the last looks
-- is the same.
local function queue_member(call, token)
  return call .. ' ' .. token
end

local function parse_queue_member(member)
  return string.match(member, '^(%S+) (.*)$')
end

-- A time is in microseconds, by the server's clock.
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

local function time_value(time)
  return string.format('%.0f', time)
end

-- A last look is a time, or "time name" of a waiter that told its name.
local function last_look(time, name)
  return time_value(time) .. (name and ' ' .. name or '')
end

-- Returns the time and the name; nil where there was no last look.
local function parse_last_look(look)
  local time, name = string.match(look or '', '^(%d+) ?(.*)$')
  return tonumber(time), name ~= '' and name or nil
end
