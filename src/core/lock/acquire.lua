-- Takes the lock for a token, or tells how long its holder has left and queues the caller.
--
-- KEYS[1] the lock              ARGV[1] the token
-- KEYS[2] its fence             ARGV[2] time to live of the lock, in milliseconds
-- KEYS[3] its queue             ARGV[3] the call: tells this acquisition from others of the token
-- KEYS[4] the last looks        ARGV[4] 'once': a single try
-- KEYS[5] the call's                    'wait': the first of several tries
--         cancellation                  'last': the last of several tries
-- KEYS[6] a result, optional            a number: another of several tries, and the time of
--                                       arrival that the first one returned
--                               ARGV[5] what the keys of signals begin with
--                               ARGV[6] the owner's name, optional
--
-- Returns
--   {1, fencing token}  the token has the lock now, and did not before this call
--   {2, fencing token}  the token had it already: its time to live begins anew
--   {0, PTTL, queue position from 0, 1 if the holder is a stranger else 0, time of arrival}
--                       somebody else has it, and the call goes on waiting
--   {5, PTTL, how many others wait, the holder's name or an empty string}
--                       somebody else has it, and this was the last try
--   {3, result}         the result exists already: the lock is left to others
--   {4, PTTL, how many others wait, the holder's name or an empty string}
--                       the call was cancelled: it waits no longer and takes nothing
--
-- A call that is repeated because its answer was lost gets {1, ...} again; so does one that was
-- handed the lock meanwhile.

-- Mostly the lock is free, nobody waits, and there is no result: one command tells.
local contended = redis.call('EXISTS', KEYS[1], KEYS[3], KEYS[5], KEYS[6] or KEYS[1]) > 0
local own, number, call, last, known, name = false, nil, nil, nil, nil, nil

if not contended then
  last = read_fence(KEYS[2])
else
  own, number, call, last, known, name = look()
  local member = queue_member(ARGV[3], ARGV[1])
  if redis.call('EXISTS', KEYS[5]) == 1 then
    leave_queue(member)
    return {4, redis.call('PTTL', KEYS[1]), count_waiters(), name or ''}
  end
  local result = KEYS[6] and redis.call('GET', KEYS[6])
  if result then
    leave_queue(member)
    if own and call == ARGV[3] then
      -- It was handed the lock, and its work never began.
      give_back(ENDED .. ARGV[3], number, ARGV[5])
    end
    return {3, result}
  end

  local held = redis.call('EXISTS', KEYS[1]) == 1
  local arrived_at = tonumber(ARGV[4])
  if not own and (arrived_at or ARGV[4] == 'wait') then
    local time = now()
    arrived_at = arrived_at or tonumber(redis.call('ZSCORE', KEYS[3], member))
    if not arrived_at then
      -- Behind the last one, also when the clock was set back. The fence is as late as the last one
      -- that was handed the lock.
      local latest = tonumber(redis.call('ZREVRANGE', KEYS[3], 0, 0, 'WITHSCORES')[2])
      arrived_at = math.max(time, (latest or 0) + 1, last + 1)
    end
    -- A waiter that was passed over, or claimed the lock too late, gets its old position back.
    redis.call('ZADD', KEYS[3], 'NX', time_value(arrived_at), member)
    redis.call('HSET', KEYS[4], member, last_look(time, ARGV[6]))
    redis.call('PEXPIRE', KEYS[3], QUEUE_TTL)
    redis.call('PEXPIRE', KEYS[4], QUEUE_TTL)
  elseif ARGV[4] == 'last' then
    -- It is alive, should it be its turn just now.
    redis.call('HSET', KEYS[4], member, last_look(now(), ARGV[6]))
  end
  if not held and redis.call('EXISTS', KEYS[3]) == 1 then
    -- The lock expired, or a stranger deleted it: it is the longest waiter's turn, which may be the
    -- caller, or another call with its token.
    held = pass_on(ARGV[5])
    own, number, call, last, known, name = look()
  end

  if held and not own then
    if not arrived_at then
      if ARGV[4] == 'last' then
        leave_queue(member)
      end
      return {5, redis.call('PTTL', KEYS[1]), count_waiters(), name or ''}
    end
    local position = redis.call('ZRANK', KEYS[3], member) or 0
    return {0, redis.call('PTTL', KEYS[1]), position, known and 0 or 1, arrived_at}
  end
  -- It may have waited.
  leave_queue(member)
end

if own then
  -- The time to live goes first: a full Redis (OOM) takes nobody's lock.
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
  local outcome = number and call ~= ARGV[3] and 2 or 1
  if not number then
    number, call = next_fencing_token(last), ARGV[3]
  end
  -- A renewal that tells no name leaves the one that is there.
  pcall(set_fence, number, call, ARGV[1], ARGV[2], ARGV[6] or name)
  return {outcome, number}
end

-- The fence goes first: should Redis refuse to store anything, no lock is left behind.
number = next_fencing_token(last)
set_fence(number, ARGV[3], ARGV[1], ARGV[2], ARGV[6])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {1, number}
