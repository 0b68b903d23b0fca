-- Giving a lock back. KEYS[1] to KEYS[4] are the lock, its fence, its queue and the last looks of
-- its waiters; ARGV[1] is the owner's token.

-- Makes the longest waiter the owner, and signals it. Returns whether there was one.
local function hand_over(wake_prefix)
  local call, token, claim, name = open_queue().next_waiter()
  if not call then
    return false
  end
  local before = read_fence(KEYS[2])
  set_fence(before, next_fencing_token(before.number), call, token, claim, name)
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
  -- Mostly nobody waits.
  if redis.call('EXISTS', KEYS[3]) == 1 then
    local allowed, handed_on = pcall(hand_over, wake_prefix)
    if allowed and handed_on then
      return true
    end
  end
  redis.call('DEL', KEYS[1])
  return false
end

-- Gives back the lock that the token holds under this fencing token: to the longest waiter, or else
-- to nobody, and then the fence remembers `mark`, the call that gave it back. The mark begins with
-- ENDED where the holder's work has ended or never began. Without that, readers of the user and the
-- next acquisition take the holder for one that may still be at work. Returns whether the lock was
-- handed on. `before` is the fence that is there.
local function give_back(before, mark, number, wake_prefix)
  ended = has_ended(mark)
  if pass_on(wake_prefix) then
    return true
  end
  if number then
    -- A full Redis may refuse this. Giving the lock back matters more.
    pcall(set_fence, before, number, mark, ARGV[1], 0)
  end
  return false
end

-- The fence of a lock that was handed on names the new owner, so the proof that the last one ended
-- is kept at a key of its own, for as long as a repetition of the call may come.
local function leave_proof(key, ttl)
  redis.pcall('SET', key, '1', 'PX', ttl)
end
