-- Who has a lock, and under which fencing token. KEYS[1] is the lock, KEYS[2] its fence; ARGV[1] is
-- the owner's token.

-- One look at lock and fence. Returns whether the token holds the lock, and the fence; any other
-- value, of any type, is somebody else's lock. Of the fence, it also tells
--   `holder`       whether it names the holder, who is no stranger then
--   `holder_name`  the holder's name, nil where it told none
--   `own_number`   the token's fencing token, nil where the last one is somebody else's
--   `own_call`     the call that it was made for, nil likewise
local function look()
  local values = redis.call('MGET', KEYS[1], KEYS[2])
  local token = values[1]
  local fence = parse_fence(values[2] or '')
  fence.holder = token == fence.owner
  fence.holder_name = fence.holder and fence.name or nil
  if fence.owner == ARGV[1] then
    fence.own_number, fence.own_call = fence.number, fence.call
  end
  return token == ARGV[1], fence
end

-- The greater of the last number plus one and the server's clock in microseconds: it goes on
-- increasing when the fence has expired or was evicted, and when the clock was set back.
local function next_fencing_token(last)
  return math.max(last + 1, now())
end

-- Whether the holder gives the lock back now, with its work ended.
local ended = false

-- A fence lives for longer than its lock, whose time to live is `ttl` milliseconds: without it
-- nobody would know whose fencing token is whose. It remembers the last owner that lost the lock:
-- that owner may still be at work. `before` is the fence that is there, and `name` is the owner's,
-- if it told one.
local function set_fence(before, number, call, owner, ttl, name)
  local last, lost = before.number, before.lost
  if last > 0 and last ~= number and not ended and not has_ended(before.call) then
    lost = last
  end
  local value = fence_value(number, call, owner, lost, name)
  redis.call('SET', KEYS[2], value, 'PX', math.max(FENCE_TTL, 2 * ttl))
end

-- A holder learns that it lost the lock. What was read of the user since then may be older than the
-- holder's work: a greater fencing number makes it stale. While somebody has the lock, that does.
-- Without a fence no reading is fresh. `number` is the holder's fencing token, nil where it is not
-- known; `work_ended` says whether its work has ended.
local function note_loss(number, work_ended)
  local fence = read_fence(KEYS[2])
  local last, call, lost = fence.number, fence.call, fence.lost
  if last == 0 or redis.call('EXISTS', KEYS[1]) == 1 then
    return
  end
  if not has_ended(call) then
    if not work_ended or last ~= number then
      lost = math.max(lost or 0, last)
    end
    call = ENDED .. 'lost'
  end
  if number and not work_ended then
    lost = math.max(lost or 0, number)
  end
  -- A release that was the last call stays known, should it be repeated.
  local value = fence_value(next_fencing_token(last), call, fence.owner, lost)
  redis.pcall('SET', KEYS[2], value, 'PX', FENCE_TTL)
end
