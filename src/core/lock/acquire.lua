-- Takes the lock for a token, or tells how long its holder has left and queues the caller.
--
-- KEYS[1] the lock              ARGV[1] the token
-- KEYS[2] its fence             ARGV[2] time to live of the lock, in milliseconds
-- KEYS[3] its queue             ARGV[3] the call: tells this acquisition from others of the token
-- KEYS[4] a result, optional    ARGV[4] 'once': a single try
--                                       'wait': the first of several tries
--                                       'last': the last of several tries
--                                       a number: another of several tries, and the time of
--                                       arrival that the first one returned
--                               ARGV[5] what the keys of signals begin with
--
-- Returns
--   {1, fencing token}  the token has the lock now, and did not before this call
--   {2, fencing token}  the token had it already: its time to live begins anew
--   {0, PTTL, queue position from 0, 1 if the holder is a stranger else 0, time of arrival}
--                       somebody else has it
--   {3, result}         the result exists already: the lock is left to others
--
-- A call that is repeated because its answer was lost gets {1, ...} again; so does one that was
-- handed the lock meanwhile.

-- Mostly the lock is free, nobody waits, and there is no result: one command tells.
local contended = redis.call('EXISTS', KEYS[1], KEYS[3], KEYS[4] or KEYS[1]) > 0
local own, number, call, last = false, nil, nil, nil

if not contended then
  last = read_fence(KEYS[2])
else
  own, number, call, last = look()
  local member = queue_member(ARGV[3], ARGV[1])
  local result = KEYS[4] and redis.call('GET', KEYS[4])
  if result then
    redis.call('ZREM', KEYS[3], member)
    if own and call == ARGV[3] then
      pass_on(ARGV[5])
    end
    return {3, result}
  end

  local held, first = redis.call('EXISTS', KEYS[1]) == 1, nil
  if not held then
    -- The lock expired, or a stranger deleted it: it is the longest waiter's turn.
    first = redis.call('ZRANGE', KEYS[3], 0, 0)[1]
    held = first and first ~= member and pass_on(ARGV[5])
  end

  if held and not own then
    local arrived_at = tonumber(ARGV[4])
    local position = 0
    if arrived_at or ARGV[4] == 'wait' then
      arrived_at = arrived_at or now()
      -- A waiter that was handed the lock and claimed it too late gets its old position back.
      redis.call('ZADD', KEYS[3], 'NX', string.format('%.0f', arrived_at), member)
      redis.call('PEXPIRE', KEYS[3], QUEUE_TTL)
      position = redis.call('ZRANK', KEYS[3], member)
    elseif ARGV[4] == 'last' then
      redis.call('ZREM', KEYS[3], member)
    end
    local _, _, _, _, known = look()
    return {0, redis.call('PTTL', KEYS[1]), position, known and 0 or 1, arrived_at or 0}
  end

  if first or own then
    -- It may have waited.
    redis.call('ZREM', KEYS[3], member)
  end
end

local outcome = 1
if own and number then
  outcome = call == ARGV[3] and 1 or 2
else
  number, call = next_fencing_token(last), ARGV[3]
end

-- The fence goes first: should Redis refuse to store anything (OOM), no lock is left behind.
set_fence(number, call, ARGV[1], ARGV[2])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {outcome, number}
