-- Takes the lock for a token, or tells how long its holder has left and queues the caller.
--
-- KEYS[1] the lock              ARGV[1] the token
-- KEYS[2] its fence             ARGV[2] time to live of the lock, in milliseconds
-- KEYS[3] its queue             ARGV[3] the call: tells this acquisition from others of the token
-- KEYS[4] the mark of the       ARGV[4] `waiters` as in queue.lua, with which of its caller's
--         token's cancelled             tries this is:
--         calls                         once    a single one
-- KEYS[5] a result, optional            wait    the first of several
-- KEYS[6] the same again, if its        wait N  another of several, with the time of arrival that
--         value is not wanted                   the first one returned
--                                       last N  the last of several, likewise
--                               ARGV[5] the owner's name, optional
--
-- Returns
--   {1, fencing token}  the token has the lock now, and did not before this call
--   {2, fencing token}  the token had it already: its time to live begins anew
--   {0, PTTL, queue position from 0, 1 if the holder is a stranger else 0, time of arrival}
--                       somebody else has it, and the call goes on waiting
--   {5, PTTL, how many others wait, the holder's name or an empty string}
--                       somebody else has it, and this was the last try
--   {3, result}         the result exists already: the lock is left to others. It is an empty
--                       string where it is not wanted, or a stranger's value of another type
--   {4, PTTL, how many others wait, the holder's name or an empty string}
--                       the call was cancelled: it waits no longer and takes nothing
--
-- A call that is repeated because its answer was lost gets {1, ...} again; so does one that was
-- handed the lock meanwhile.
--
-- take_free.lua goes before this, for the usual case. Here somebody has the lock, or waits, or
-- there is a result or a cancellation.

local own, fence, own_number, own_call, known = look()
local queue = open_queue(ARGV[4])
local try, arrived_at = string.match(queue.last_line, '^(%a+) ?(%d*)$')
arrived_at = tonumber(arrived_at)
local member = queue.member(ARGV[3], ARGV[1])
local marked_by = 0
if redis.call('EXISTS', KEYS[4]) == 1 then
  local cancelled
  cancelled, marked_by = is_cancelled(KEYS[4], ARGV[3], arrived_at)
  if cancelled then
    queue.leave(member)
    return {4, redis.call('PTTL', KEYS[1]), queue.count(), known and fence.name or ''}
  end
end
local result
if KEYS[6] then
  result = redis.call('EXISTS', KEYS[6]) == 1 and ''
elseif KEYS[5] then
  result = redis.pcall('GET', KEYS[5])
end
if type(result) == 'table' then
  -- A stranger's value of another type is there, and is no result.
  result = string.find(result.err, '^WRONGTYPE') and '' or redis.call('GET', KEYS[5])
end
if result then
  queue.leave(member)
  if own and own_call == ARGV[3] then
    -- It was handed the lock, and its work never began.
    give_back(ARGV[4], own_number, ENDED .. ARGV[3], fence)
  end
  return {3, result}
end

local held = redis.call('EXISTS', KEYS[1]) == 1
if not own and try == 'wait' then
  local time = now()
  arrived_at = arrived_at or queue.arrival(queue.call('ZSCORE', KEYS[3], member))
  if not arrived_at then
    -- Behind the last one, also when the clock was set back. The fence is as late as the last one
    -- that was handed the lock. What the mark cancels by time came before this call.
    local after = math.max(queue.latest(), fence.number) + 1
    arrived_at = math.max(time, after < NO_NUMBER and after or 0, marked_by + 1)
  end
  queue.join(member, arrived_at)
  queue.note_look(member, time, ARGV[5])
elseif try == 'last' then
  -- It is alive, should it be its turn just now.
  queue.note_look(member, now(), ARGV[5])
end
if not held and redis.call('EXISTS', KEYS[3]) == 1 then
  -- The lock expired, or a stranger deleted it: it is the longest waiter's turn, which may be the
  -- caller, or another call with its token.
  held = give_back(ARGV[4]) ~= nil
  own, fence, own_number, own_call, known = look()
end

if held and not own then
  if try ~= 'wait' then
    if try == 'last' then
      queue.leave(member)
    end
    return {5, redis.call('PTTL', KEYS[1]), queue.count(), known and fence.name or ''}
  end
  local position = queue.call('ZRANK', KEYS[3], member) or 0
  return {0, redis.call('PTTL', KEYS[1]), position, known and 0 or 1, arrived_at}
end
-- It may have waited.
queue.leave(member)
if not own then
  return take(fence)
end

local number, call = own_number, own_call
local outcome = number and call ~= ARGV[3] and 2 or 1
if not number then
  number, call = next_fencing_token(fence.number), ARGV[3]
end
-- The time to live goes before the fence: a full Redis (OOM) takes nobody's lock.
redis.call('PEXPIRE', KEYS[1], ARGV[2])
-- A renewal that tells no name leaves the one that is there.
pcall(set_fence, fence, number, call, ARGV[1], ARGV[2], ARGV[5] or known and fence.name or nil)
return {outcome, number}
