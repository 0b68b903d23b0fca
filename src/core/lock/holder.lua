-- Who has a lock, and under which fencing token. KEYS[1] is the lock, KEYS[2] its fence; ARGV[1] is
-- the owner's token.

-- One look at lock and fence. Returns
--   whether the token holds the lock; any other value, of any type, is somebody else's lock
--   the fence
--   the token's fencing token, nil where the last one is somebody else's
--   the call that it was made for, nil likewise
--   whether the fence names the holder, who is no stranger then
local function look()
  local values = redis.call('MGET', KEYS[1], KEYS[2])
  local token = values[1]
  -- MGET passes over a stranger's value of another type. The next SET replaces it.
  local fence = parse_fence(values[2])
  local known = token == fence.owner
  if fence.owner == ARGV[1] then
    return token == ARGV[1], fence, fence.number, fence.call, known
  end
  return token == ARGV[1], fence, nil, nil, known
end

-- The call in the fence of an owner that has learnt of its loss.
local LOST = ENDED .. 'lost'

-- The call in the fence of an owner that has not, where an earlier holder has learnt of its own.
local BESIDE = ENDED .. 'beside'

-- A holder learns that it lost the lock. What was read of the user since then may be older than the
-- holder's work: a greater fencing number makes it stale. While somebody has the lock, that does.
-- Without a fence no reading is fresh, but the next reader would make one. `number` is the holder's
-- fencing token, nil where it is not known: then whoever asks may never have held the lock, and
-- changes nothing, unless the fence says that a break took the lock from it. Neither does one that
-- gave the lock back, or has learnt of its loss before. `work_ended` says whether the holder's work
-- has ended. Where Redis refuses the fence, so is the call: the caller tries again later.
local function note_loss(number, work_ended)
  local fence = parse_fence(redis.call('MGET', KEYS[2])[1])
  number = number or fence.call == BROKEN .. ARGV[1] and fence.number
  if not number then
    return
  end
  local last, call, lost = fence.number, fence.call or BESIDE, fence.lost
  local own = fence.owner == ARGV[1]
  local is_noted = own and has_ended(call) and call ~= BESIDE
  if is_noted or last == 0 and work_ended or redis.call('EXISTS', KEYS[1]) == 1 then
    return
  end
  if not has_ended(call) then
    if not work_ended or last ~= number then
      lost = math.max(lost or 0, last)
    end
    call = own and LOST or BESIDE
  elseif own then
    -- `lost` has the owner's number already; that of the fence is greater.
    number, call = lost or number, LOST
  end
  if not work_ended then
    lost = math.max(lost or 0, number)
  end
  -- A release that was the last call stays known, should it be repeated.
  local digits = string.format('%.0f', next_fencing_token(last))
  local value = fence_value(digits, call, fence.owner, lost)
  -- A full Redis (OOM) refuses a script's first write if that may take memory, and no later one.
  redis.pcall('PEXPIRE', KEYS[2], FENCE_TTL)
  redis.call('SET', KEYS[2], value, 'PX', FENCE_TTL)
end
