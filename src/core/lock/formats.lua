-- The values that the lock's scripts store, written and parsed here alone.

-- A fence is "number call owner": the last fencing token, the call that it was made for, and the
-- owner's token. Returns the three; the number is 0 without a fence. A stranger's value of another
-- type is an error, and stays.
local function read_fence(key)
  local text = redis.call('GET', key) or ''
  local number, call, owner = string.match(text, '^(%d+) (%S+) (.*)$')
  return tonumber(number) or 0, call, owner
end

local function fence_value(number, call, owner)
  return string.format('%.0f %s %s', number, call, owner)
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
local function time_value(time)
  return string.format('%.0f', time)
end
