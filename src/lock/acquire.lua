-- Takes the lock for a token, or says how long its holder has left and keeps a place in its queue.
--
-- KEYS[1] the lock              ARGV[1] the token
-- KEYS[2] its fence             ARGV[2] time to live of the lock, in milliseconds
-- KEYS[3] its queue             ARGV[3] what tells this call from others with the same token
-- KEYS[4] a result, optional    ARGV[4] 'once': a single try; 'wait': more will come; 'last': none will; or, where an earlier try
--                                       was told when it came, that: more will come, and this is its place in the queue
--
-- Returns
--   {1, fencing token}  the token has the lock now, and had it not before this call
--   {2, fencing token}  it had it before: its time to live begins anew and the fencing token stays
--   {0, PTTL, place in the queue from 0, 1 if a stranger has it else 0, when it came}  somebody else has it
--   {3, result}         the result is there already: the lock is left to others
--
-- A call that is repeated because its answer was lost gets {1, ...} again; so does one that was handed the lock meanwhile.

-- Mostly nobody has it, nobody waits for it, and there is no result: one command tells.
local others = redis.call('EXISTS', KEYS[1], KEYS[3], KEYS[4] or KEYS[1]) > 0
local own, number, call, last = false, nil, nil, nil

if not others then
  last = fence()
else
  own, number, call, last = look()
  local member = ARGV[3] .. ' ' .. ARGV[1]
  local result = KEYS[4] and redis.call('GET', KEYS[4])
  if result then
    redis.call('ZREM', KEYS[3], member)
    if own and call == ARGV[3] then
      pass_on()
    end
    return {3, result}
  end

  local held, first = redis.call('EXISTS', KEYS[1]) == 1, nil
  if not held then
    -- Its holder's time has run out, or a stranger deleted it: it is the turn of whoever has waited longest.
    first = redis.call('ZRANGE', KEYS[3], 0, 0)[1]
    held = first and first ~= member and pass_on()
  end

  if held and not own then
    local came = tonumber(ARGV[4])
    local place = 0
    if came or ARGV[4] == 'wait' then
      came = came or now()
      -- With the place that it had: it may have been handed the lock and have been too late.
      redis.call('ZADD', KEYS[3], 'NX', string.format('%.0f', came), member)
      redis.call('PEXPIRE', KEYS[3], QUEUE_TTL)
      place = redis.call('ZRANK', KEYS[3], member)
    elseif ARGV[4] == 'last' then
      redis.call('ZREM', KEYS[3], member)
    end
    local _, _, _, _, known = look()
    return {0, redis.call('PTTL', KEYS[1]), place, known and 0 or 1, came or 0}
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
