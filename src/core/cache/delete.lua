-- Removes an entry, if the conditions hold.
--
-- KEYS[1] the entry         ARGV[1] If-Match
--                           ARGV[2] If-None-Match
--
-- Returns -1 when the conditions do not hold, else how many entries were removed.

if not hold(KEYS[1], ARGV[1], ARGV[2]) then
  return -1
end
return redis.call('DEL', KEYS[1])
