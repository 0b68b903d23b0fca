-- Writes an entry, if the conditions hold.
--
-- KEYS[1] the entry         ARGV[1] If-Match
--                           ARGV[2] If-None-Match
--                           ARGV[3] the value
--                           ARGV[4] time to live in milliseconds, for an entry that has none yet
--                           ARGV[5] '1' to keep the time that an entry has left
--
-- Returns 0 when the conditions do not hold, 1 when the entry is new, 2 when it replaced another.

if not hold(KEYS[1], ARGV[1], ARGV[2]) then
  return 0
end
local left = redis.call('PTTL', KEYS[1])
local ttl = ARGV[4]
if ARGV[5] == '1' and left >= 0 then
  -- 0 is the last millisecond, and no time to live that SET would take.
  ttl = math.max(left, 1)
end
redis.call('SET', KEYS[1], ARGV[3], 'PX', ttl)
return left == -2 and 1 or 2
