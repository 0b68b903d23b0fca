-- What the lock's scripts share. KEYS[1] is the lock, KEYS[2] its fence, KEYS[3] and KEYS[4], where
-- there are any, its queue and the last looks of its waiters; ARGV[1] is the owner's token.

-- How long a live waiter may be silent, in milliseconds. It is longer than the longest time between
-- two looks, with 80 ms to Redis and back. Who is silent for longer counts as dead, and is passed
-- over.
local SILENCE = 1500

-- The shortest time that a waiter has to claim the lock, in milliseconds.
local SHORTEST_CLAIM = 300

-- How many waiters one call passes over at most. It bounds the time that a script takes.
local MOST_PASSED_OVER = 1000

-- How long a queue outlives the last look of a waiter, in milliseconds: a wait is a minute at most.
local QUEUE_TTL = 90000

-- One look at lock and fence. Returns
--   whether the token holds the lock; any other value, of any type, is somebody else's lock
--   the token's fencing token and its call, nil where the last one is somebody else's
--   the last fencing token, 0 where there is none
--   whether the holder is the one that the fence names, and not a stranger
--   the holder's name, nil where it told none
local function look()
  local token = redis.call('MGET', KEYS[1])[1]
  local last, call, owner, _, name = read_fence(KEYS[2])
  local own, known = token == ARGV[1], token == owner
  name = known and name or nil
  if owner == ARGV[1] then
    return own, last, call, last, known, name
  end
  return own, nil, nil, last, known, name
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
-- that owner may still be at work. `name` is the owner's, if it told one.
local function set_fence(number, call, owner, ttl, name)
  local last, last_call, _, lost = read_fence(KEYS[2])
  if last > 0 and last ~= number and not ended and not has_ended(last_call) then
    lost = last
  end
  local value = fence_value(number, call, owner, lost, name)
  redis.call('SET', KEYS[2], value, 'PX', math.max(FENCE_TTL, 2 * ttl))
end

local function leave_queue(member)
  redis.call('ZREM', KEYS[3], member)
  redis.call('HDEL', KEYS[4], member)
end

-- How long a waiter has to claim the lock, in milliseconds: up to when its next look is due, so a
-- lost signal costs nobody their turn, and the dead of one moment cost SILENCE in all, however many
-- they are. Nil for a waiter that was silent for too long. A last look in the future, after the
-- clock was set back, says nothing: the waiter's next look puts it right.
local function time_to_claim(seen)
  local silent = seen and (now() - seen) / 1000
  if not silent or math.abs(silent) > SILENCE then
    return nil
  end
  return math.max(math.floor(SILENCE - math.max(silent, 0)), SHORTEST_CLAIM)
end

-- Takes the longest waiter out of the queue, past those that were silent for too long: a live one
-- of them finds its old position at its next look. Returns the waiter's call, its token, its time
-- to claim and its name; nil where nobody is left.
local function next_waiter()
  for _ = 1, MOST_PASSED_OVER do
    local member = redis.call('ZPOPMIN', KEYS[3])[1]
    if not member then
      return nil
    end
    local seen, name = parse_last_look(redis.call('HGET', KEYS[4], member))
    redis.call('HDEL', KEYS[4], member)
    local claim = time_to_claim(seen)
    if claim then
      local call, token = parse_queue_member(member)
      return call, token, claim, name
    end
  end
  return nil
end

-- Makes the longest waiter the owner, and signals it. Returns whether there was one.
local function hand_over(wake_prefix)
  local call, token, claim, name = next_waiter()
  if not call then
    return false
  end
  set_fence(next_fencing_token((read_fence(KEYS[2]))), call, token, claim, name)
  redis.call('SET', KEYS[1], token, 'PX', claim)
  -- A signal only makes the waiter look sooner, so it may be refused.
  local signal = wake_prefix .. call
  redis.pcall('RPUSH', signal, '1')
  redis.pcall('PEXPIRE', signal, SILENCE)
  return true
end

-- Hands the lock to the longest waiter: the script writes the waiter's token into the lock, as the
-- waiter's own acquire.lua would. The waiter claims it by calling acquire.lua again. If nobody
-- waits, or where Redis refuses any of this, the lock is free, and waiters see that when they look.
-- `wake_prefix` is what the keys of signals begin with. Returns whether the lock was handed on.
local function pass_on(wake_prefix)
  local allowed, handed_on = pcall(hand_over, wake_prefix)
  if allowed and handed_on then
    return true
  end
  redis.call('DEL', KEYS[1])
  return false
end

-- Gives back the lock that the token holds under this fencing token: to the longest waiter, or else
-- to nobody, and then the fence remembers `mark`, the call that gave it back. The mark begins with
-- ENDED where the holder's work has ended or never began. Without that, readers of the user and the
-- next acquisition take the holder for one that may still be at work. Returns whether the lock was
-- handed on.
local function give_back(mark, number, wake_prefix)
  ended = has_ended(mark)
  if pass_on(wake_prefix) then
    return true
  end
  if number then
    -- A full Redis may refuse this. Giving the lock back matters more.
    pcall(set_fence, number, mark, ARGV[1], 0)
  end
  return false
end

-- A holder learns that it lost the lock. What was read of the user since then may be older than the
-- holder's work: a greater fencing number makes it stale. While somebody has the lock, that does.
-- Without a fence no reading is fresh. `number` is the holder's fencing token, nil where it is not
-- known; `work_ended` says whether its work has ended.
local function note_loss(number, work_ended)
  local last, call, owner, lost = read_fence(KEYS[2])
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
  local value = fence_value(next_fencing_token(last), call, owner, lost)
  redis.pcall('SET', KEYS[2], value, 'PX', FENCE_TTL)
end

-- The fence of a lock that was handed on names the new owner, so the proof that the last one ended
-- is kept at a key of its own, for as long as a repetition of the call may come.
local function leave_proof(key, ttl)
  redis.pcall('SET', key, '1', 'PX', ttl)
end
