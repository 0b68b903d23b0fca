-- The mark of cancelled calls, "time call call...". A token that a client brought has one mark for
-- all its calls: those that are named are cancelled, and those that had arrived by that time, in
-- microseconds. Any other token has one call, and so one mark. A call that arrives later than a mark
-- gets a later time than the mark's, whatever the clock says.

-- How many bytes of calls a mark keeps: a hundred calls, each with a space before it. A part of a
-- call that is left at the front is cut off too: it could be taken for digits of the time.
local MOST_CALLS = 3300

-- The latest time of a mark: a call can arrive after it.
local LATEST_MARK = NO_NUMBER - 2

local function parse_mark(key)
  -- MGET passes over a stranger's value of another type. The next SET replaces it.
  local mark = redis.call('MGET', key)[1]
  local digits, calls = string.match(mark or '', '^(%d+)(.*)$')
  local time = tonumber(digits)
  if not time or time > LATEST_MARK then
    return 0, ''
  end
  return time, calls
end

-- Whether a call is cancelled that arrived at this time; nil where it arrives now. Also returns the
-- time by which the mark cancels.
local function is_cancelled(key, call, arrived_at)
  local time, calls = parse_mark(key)
  local named = string.find(calls, ' ' .. call, 1, true) ~= nil
  return named or arrived_at and arrived_at <= time, time
end

-- Cancels a call, or what had arrived by a time, for `ttl` milliseconds. A full Redis may refuse it.
-- Returns the reply.
local function mark_cancelled(key, call, arrived_by, ttl)
  local time, calls = parse_mark(key)
  time = math.min(math.max(time, arrived_by), LATEST_MARK)
  calls = string.sub(calls .. (call and ' ' .. call or ''), -MOST_CALLS)
  calls = string.match(calls, ' .*$') or ''
  local left = redis.pcall('PTTL', key)
  ttl = math.max(tonumber(ttl), tonumber(left) or 0)
  return redis.pcall('SET', key, string.format('%.0f', time) .. calls, 'PX', ttl)
end
