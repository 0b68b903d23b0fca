-- The next fencing token, and the fence that remembers it. KEYS[2] is the lock's fence.

-- The greater of the last number plus one and the server's clock in microseconds: it goes on
-- increasing when the fence has expired or was evicted, and when the clock was set back. Returns
-- the number, and mostly its digits.
local function next_fencing_token(last)
  local time = redis.call('TIME')
  local seconds, micros = time[1], time[2]
  local number = seconds * 1000000 + micros
  if number <= last then
    return last + 1, nil
  elseif #micros < 6 then
    return number, nil
  end
  return number, seconds .. micros
end

-- Whether the holder gives the lock back now, with its work ended.
local ended = false

-- A fence lives for longer than its lock, whose time to live is `ttl` milliseconds: without it
-- nobody would know whose fencing token is whose. It remembers the last owner that lost the lock:
-- that owner may still be at work. `before` is the fence that is there, and `name` is the owner's,
-- if it told one. `digits` are those of a new number, where they are known.
local function set_fence(before, number, call, owner, ttl, name, digits)
  local last, lost = before.number, before.lost
  if last == number then
    digits = before.digits
  elseif last > 0 and not ended and not has_ended(before.call) then
    lost = last
  end
  digits = digits or string.format('%.0f', number)
  local value = fence_value(digits, call, owner, lost, name)
  ttl = 2 * ttl
  redis.call('SET', KEYS[2], value, 'PX', ttl - FENCE_TTL > 0 and ttl or FENCE_TTL)
end
