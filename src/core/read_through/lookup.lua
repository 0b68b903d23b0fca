-- What is known of a user who is read from the origin, in one round trip; and the lock of the
-- fetch, where the caller is the one to fetch.
--
-- KEYS[1] the lock of the fetch      ARGV[1] the token for the lock of the fetch
-- KEYS[2] its fence                  ARGV[2] its time to live, in milliseconds
-- KEYS[3] the reading                ARGV[3] when to take it, if it is free:
-- KEYS[4] the outcome of the last            'never'
--         fetch that left no reading         'unspared': the reading is not fresh, and no fetch
-- KEYS[5] the user's own lock                has failed since the user's last action
-- KEYS[6] its fence                          'stale': the reading is not fresh
--                                            'always'
--                                    ARGV[4] a fencing token of a fetch: not if a fetch has ended
--                                            with this one or a greater one
--                                    ARGV[5] optional: an action makes readings stale. How long
--                                            what a holder has begun may go on after the holder
--                                            got the lock, in microseconds; '' for none
--                                    ARGV[6], ARGV[7] optional: the fencing tokens of the reading
--                                            and of the outcome that the caller has already, '' for
--                                            none
--
-- Returns
--   the reading, its PTTL, and the outcome: an empty string for what is absent or a stranger's, and
--   "=" for what the caller has already
--   the fencing token of the fetch under way: 0 without one, 1 where it is not known
--   the user's fencing number, if nobody has the user's lock and nothing of its last holders may
--   still go on, else 0
--   1 if the caller has the lock of the fetch now, else 0
--   where the user's fencing number is 0, beside whom a fetch begins: the number of the holder of
--   the user's lock, or, negative, the last number, where nobody has the lock and the work of a
--   holder may still go on; else 0, and 0 beside a stranger
--
-- A call that is repeated because its answer was lost finds its token in the lock.

local RUNS_ON = tonumber(ARGV[5])

local function ensure_fence(number)
  if not number then
    number = now()
    local value = fence_value(string.format('%.0f', number), ENDED .. 'reader', '-')
    redis.call('SET', KEYS[6], value, 'PX', FENCE_TTL)
  elseif number > 0 then
    prolong(KEYS[6], tonumber(FENCE_TTL))
  end
  return number
end

-- As reading.rs and ended_fetch.rs write them.
local READING = '^{"fence":(%d+),"grace":(%d+),"number":(%d+),'
local OUTCOME = '^{"number":(%d+),"fence":(%d+),"beside":(-?%d+),"kind":"([a-z-]+)"'

-- Those who wait look often, and a value may be megabytes: of one that they have, only the
-- beginning is read. The lock stands in its place.
local same_reading, same_outcome
if ARGV[6] then
  local function beginning(key)
    -- A stranger's value may be of another type.
    local text = redis.pcall('GETRANGE', key, 0, 127)
    return type(text) == 'string' and text or ''
  end
  local text = beginning(KEYS[3])
  local _, _, number = string.match(text, READING)
  same_reading = number == ARGV[6] and text
  text = beginning(KEYS[4])
  same_outcome = string.match(text, OUTCOME) == ARGV[7] and text
end

local values = redis.call(
  'MGET',
  same_reading and KEYS[1] or KEYS[3],
  same_outcome and KEYS[1] or KEYS[4],
  KEYS[1]
)
local reading = same_reading or values[1] or ''
local outcome = same_outcome or values[2] or ''
local fetcher = values[3]
local left = redis.call('PTTL', KEYS[3])
local number, beside = 0, 0
if RUNS_ON then
  number = free_under(KEYS[5], KEYS[6], RUNS_ON)
  if number == 0 then
    -- As long as this is the same, no action has begun or been answered. A stranger's lock may be
    -- the next stranger's.
    local users = redis.call('MGET', KEYS[5], KEYS[6])
    local last = parse_fence(users[2])
    if redis.call('EXISTS', KEYS[5]) == 0 then
      beside = -last.number
    elseif users[1] == last.owner then
      beside = last.number
    end
  end
end

local fence, grace, fetch = string.match(reading, READING)
local failed_fetch, failed_fence, failed_beside, kind = string.match(outcome, OUTCOME)

-- A stranger's number that is greater than any fetch's would end waits for ever.
if fetch and tonumber(fetch) >= NO_NUMBER then
  fence, fetch = nil, nil
end
if failed_fetch and tonumber(failed_fetch) >= NO_NUMBER then
  failed_fetch = nil
end

local function is_current(began_under)
  return not RUNS_ON or number ~= nil and number > 0 and tonumber(began_under) == number
end

local function is_fresh()
  if not fence or left <= tonumber(grace) then
    return false
  end
  return is_current(fence)
end

-- An origin that has just failed is spared, but not after an action. One whose answer was for its
-- caller alone has not failed, and its next answer may be kept.
local function is_spared()
  if not failed_fetch or kind == 'pass' or kind == 'callers-own' then
    return false
  elseif RUNS_ON and number == 0 then
    return beside ~= 0 and tonumber(failed_beside) == beside
  end
  return is_current(failed_fence)
end

local function is_wanted()
  local last_fetch = math.max(tonumber(fetch) or 0, tonumber(failed_fetch) or 0)
  if ARGV[3] == 'never' or last_fetch >= tonumber(ARGV[4]) then
    return false
  elseif ARGV[3] == 'always' then
    return true
  end
  return not is_fresh() and (ARGV[3] == 'stale' or not is_spared())
end

local fetching, taken = 0, 0
local lock_left = redis.call('PTTL', KEYS[1])
if lock_left == -1 then
  -- A stranger's, since ours expires. Nobody else would ever remove it.
  redis.call('DEL', KEYS[1])
end
if lock_left >= 0 then
  local fence = read_fence(KEYS[2])
  fetching = fence.owner == fetcher and fence.number or 1
  taken = fetcher == ARGV[1] and 1 or 0
elseif is_wanted() then
  if RUNS_ON then
    number = ensure_fence(number)
  end
  local last = read_fence(KEYS[2]).number
  fetching, taken = math.max(last + 1, now()), 1
  local value = fence_value(string.format('%.0f', fetching), '-', ARGV[1])
  redis.call('SET', KEYS[2], value, 'PX', FENCE_TTL)
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end
return {
  same_reading and '=' or reading,
  left,
  same_outcome and '=' or outcome,
  fetching,
  number or 0,
  taken,
  beside,
}
