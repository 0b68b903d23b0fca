-- Takes the lock for a token, or says how long its holder has left.
--
-- KEYS[1] the lock              ARGV[1] the token
-- KEYS[2] its fence             ARGV[2] time to live of the lock, in milliseconds
-- KEYS[3] a result, optional    ARGV[3] time to live of the fence, in milliseconds
--                               ARGV[4] what tells this call from others with the same token
--
-- Returns
--   {1, fencing token}  the token has the lock now, and had it not before this call
--   {2, fencing token}  it had it before: its time to live begins anew and the fencing token stays
--   {0, PTTL}           somebody else has it
--   {3, result}         the result is there already: the lock is left as it is
--
-- A call that is repeated because its answer was lost gets {1, ...} again.

local result = KEYS[3] and redis.call('GET', KEYS[3])
if result then
  return {3, result}
end

local held = redis.call('EXISTS', KEYS[1]) == 1
if held and not mine() then
  return {0, redis.call('PTTL', KEYS[1])}
end

local number, call, last = last_fencing_token()
local outcome = 1
if held and number then
  outcome = call == ARGV[4] and 1 or 2
else
  number = next_fencing_token(last)
  call = ARGV[4]
end

-- The fence goes first: should Redis refuse to store anything (OOM), no lock is left behind.
redis.call('SET', KEYS[2], string.format('%.0f %s %s', number, call, ARGV[1]), 'PX', ARGV[3])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return {outcome, number}
