-- What the lock's scripts share. KEYS[1] is the lock, KEYS[2] its fence, KEYS[3], where there is
-- one, its queue; ARGV[1] is the owner's token.

-- How long a waiter that is handed the lock has to claim it, in milliseconds. It is longer than the
-- longest time between two looks of a waiter, so a lost signal costs nobody their turn.
local CLAIM = 1000

-- How long a queue outlives the last look of a waiter, in milliseconds: a wait is a minute at most.
local QUEUE_TTL = 90000

-- How long a fence outlives its lock's last use, in milliseconds: idle users leave no key for good.
local FENCE_TTL = 604800000

-- One look at lock and fence. Returns
--   whether the token holds the lock; any other value, of any type, is somebody else's lock
--   the token's fencing token and its call, nil where the last one is somebody else's
--   the last fencing token, 0 where there is none
--   whether the holder is the one that the fence names, and not a stranger
local function look()
  local token = redis.call('MGET', KEYS[1])[1]
  local last, call, owner = read_fence(KEYS[2])
  local own, known = token == ARGV[1], token == owner
  if owner == ARGV[1] then
    return own, last, call, last, known
  end
  return own, nil, nil, last, known
end

local function now()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
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
-- that owner may still be at work.
local function set_fence(number, call, owner, ttl)
  local last, last_call, _, lost = read_fence(KEYS[2])
  if last > 0 and last ~= number and not ended and not has_ended(last_call) then
    lost = last
  end
  local value = fence_value(number, call, owner, lost)
  redis.call('SET', KEYS[2], value, 'PX', math.max(FENCE_TTL, 2 * ttl))
end

-- Hands the lock to the longest waiter: the script writes the waiter's token into the lock, as the
-- waiter's own acquire.lua would, for CLAIM. The waiter claims it by calling acquire.lua again. If
-- nobody waits, the lock is free. `wake_prefix` is what the keys of signals begin with. Returns
-- whether the lock was handed on.
local function pass_on(wake_prefix)
  local member = redis.call('ZPOPMIN', KEYS[3])[1]
  if member then
    local call, token = parse_queue_member(member)
    local last = read_fence(KEYS[2])
    -- A full Redis refuses this: then the lock is free, and waiters see that when they look.
    if pcall(set_fence, next_fencing_token(last), call, token, CLAIM) then
      redis.call('SET', KEYS[1], token, 'PX', CLAIM)
      local signal = wake_prefix .. call
      redis.call('RPUSH', signal, '1')
      redis.call('PEXPIRE', signal, CLAIM)
      return true
    end
  end
  redis.call('DEL', KEYS[1])
  return false
end

-- The fence of a lock that was handed on names the new owner, so the proof that the last one ended
-- is kept at a key of its own, for as long as a repetition of the call may come.
local function leave_proof(key, ttl)
  redis.pcall('SET', key, '1', 'PX', ttl)
end
