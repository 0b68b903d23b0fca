-- The fence of a lock, written and parsed here alone. The queue's values are in queue.lua.

-- Fencing tokens stay below this: Lua and JSON count them exactly.
local NO_NUMBER = 2 ^ 53 - 1

-- A fence is "number call owner": the last fencing token, the call that it was made for, and the
-- owner's token. After an owner that lost the lock it is "number/lost call owner", `lost` being that
-- owner's fencing token. An owner that told its name has " name" at the end. A broken lock has no
-- owner: what stands there is empty, and read as nil, which equals no value of a lock. Returns a
-- table of `number`, its `digits`, `call`, `owner`, `lost` and `name`. `lost` is nil if nobody lost
-- the lock, and the name is nil if the owner told none. Without a fence the number is 0; a
-- stranger's value counts as none.
local function parse_fence(text)
  if not text then
    return {number = 0}
  end
  local digits, lost, call, owner, name = string.match(text, '^(%d+)/?(%d*) (%S+) (%S*) ?(.*)$')
  local number = tonumber(digits)
  if not number or number >= NO_NUMBER then
    return {number = 0}
  end
  local fence = {
    number = number,
    digits = digits,
    call = call,
    owner = owner ~= '' and owner or nil,
  }
  -- Mostly there is neither.
  if lost ~= '' then
    fence.lost = tonumber(lost)
    if fence.lost >= NO_NUMBER then
      return {number = 0}
    end
  end
  if name ~= '' then
    fence.name = name
  end
  return fence
end

-- `digits` are those of the fencing token: text, since to print a number takes long.
local function fence_value(digits, call, owner, lost, name)
  local after = lost and string.format('/%.0f', lost) or ''
  local value = digits .. after .. ' ' .. call .. ' ' .. (owner or '')
  return name and value .. ' ' .. name or value
end

-- How long a fence outlives its lock's last use, in milliseconds. It covers a clock that was set
-- back, and an origin that is still at work for a holder that lost the lock: `origin_timeout` is an
-- hour at most. It is text, since Redis takes long to print a number.
local FENCE_TTL = '7200000'

-- The call of a holder that gave the lock back when its work had ended begins with this.
local ENDED = 'ended:'

-- The call of a broken lock begins with this. The token of the holder follows, where it is known, so
-- that the holder is known when it finds out.
local BROKEN = 'broken:'

local function has_ended(call)
  return string.sub(call, 1, #ENDED) == ENDED
end

-- A time is in microseconds, by the server's clock.
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end
