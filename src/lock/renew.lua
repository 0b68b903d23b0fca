-- Begins the time to live of a lock anew, if the token still holds it.
--
-- KEYS[1] the lock          ARGV[1] the token
-- KEYS[2] its fence         ARGV[2] time to live of the lock, in milliseconds
--                           ARGV[3] time to live of the fence, in milliseconds
--                           ARGV[4] the fencing token that it was given, optional: then the lock must be held under it
--
-- Returns the fencing token, or 0 when the lock has expired or is somebody else's.

local given = tonumber(ARGV[4])
if not mine() or given and not mine_since(given) then
  return 0
end
local number, call, last = last_fencing_token()
if not number then
  -- The fence was evicted: a new number is greater than the forgotten one.
  number = given or next_fencing_token(last)
  call = '-'
end
redis.call('SET', KEYS[2], string.format('%.0f %s %s', number, call, ARGV[1]), 'PX', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return number
