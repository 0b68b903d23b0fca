-- Commits a reading under the lock of the fetch, as commit.lua says, and tells whether anybody had
-- the user's lock meanwhile.
--
-- KEYS[1] to KEYS[5] and ARGV[1] to ARGV[4] as in commit.lua
-- KEYS[6] the user's own lock   ARGV[5]          as `runs_on` in users_lock.lua; 0 where actions
-- KEYS[7] its fence                              don't make readings stale
-- KEYS[8] the reading           ARGV[6], ARGV[7] the reading and its time to live, in milliseconds
-- further keys                  these are removed
--
-- Returns {1 or 0, the user's fencing number}, the number as lookup.lua does.

local committed, runs_on, number = commit(8, 6), tonumber(ARGV[5]), nil
if runs_on > 0 then
  -- A full Redis refuses neither.
  number = free_under(KEYS[6], KEYS[7], runs_on)
  prolong(KEYS[7], tonumber(ARGV[7]))
end
return {committed, number or 0}
