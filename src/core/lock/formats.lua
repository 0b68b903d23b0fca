-- The values that the lock's scripts store, written and parsed here alone.

-- A fence is "number call owner": the last fencing token, the call that it was made for, and the
-- owner's token. After an owner that lost the lock it is "number/lost call owner", `lost` being that
-- owner's fencing token. Returns number, call, owner, lost; the number is 0 without a fence, and
-- `lost` is nil where nobody lost the lock. A stranger's value of another type is an error, and
-- stays.
local function read_fence(key)
  local text = redis.call('GET', key) or ''
  local number, lost, call, owner = string.match(text, '^(%d+)/?(%d*) (%S+) (.*)$')
  return tonumber(number) or 0, call, owner, tonumber(lost)
end

local function fence_value(number, call, owner, lost)
  local after = lost and string.format('/%.0f', lost) or ''
  return string.format('%.0f%s %s %s', number, after, call, owner)
end

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
