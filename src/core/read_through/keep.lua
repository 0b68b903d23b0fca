-- Commits a reading under the lock of the fetch, as commit.lua says, and tells whether anybody had
-- the user's lock meanwhile.
--
-- KEYS[1] to KEYS[3] and ARGV[1] to ARGV[3] as in commit.lua
-- KEYS[4] the user's own lock   ARGV[4]          as `runs_on` in users_lock.lua; 0 where actions
-- KEYS[5] its fence                              don't make readings stale
-- KEYS[6] the reading           ARGV[5], ARGV[6] the reading and its time to live, in milliseconds
-- further keys                  these are removed
--
-- Returns {1 or 0, the user's fencing number}, the number as lookup.lua does.

local runs_on, number = tonumber(ARGV[4]), nil
if runs_on > 0 then
  -- Before the reading is kept: an ACL may forbid either. A full Redis refuses neither.
  number = free_under(KEYS[4], KEYS[5], runs_on)
  prolong(KEYS[5], tonumber(ARGV[6]))
end
return {commit(6, 5), number or 0}
