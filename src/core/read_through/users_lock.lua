-- What a user's own lock says of readings of that user.

-- MGET passes over a stranger's value of another type. The next SET replaces it.
local function read_fence(key)
  return parse_fence(redis.call('MGET', key)[1])
end

-- The user's fencing number: 0 while somebody has the lock, or may still be at work; nil without a
-- fence. `runs_on` is how long what a holder has begun may go on after the holder got the lock, in
-- microseconds.
local function free_under(lock, fence, runs_on)
  if redis.call('EXISTS', lock) == 1 then
    return 0
  end
  local last = read_fence(fence)
  local number, lost, has_ended = last.number, last.lost, has_ended(last.call or '')
  if number == 0 then
    return nil
  end
  local running = has_ended and lost or number
  if (lost or not has_ended) and now() < running + runs_on then
    return 0
  end
  return number
end

-- Without a fence nothing would tell a reading from before the next action from one after it. So
-- the fence outlives readings by this many milliseconds: a reading is kept after its fence was
-- prolonged, and Redis 7.0 goes on reading its clock while a script runs.
local OUTLIVES = 1000

local function prolong(fence, ttl)
  ttl = ttl + OUTLIVES
  if redis.call('PTTL', fence) < ttl then
    redis.call('PEXPIRE', fence, ttl)
  end
end
