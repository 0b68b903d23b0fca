-- The usual case of acquire.lua, which names the keys, the arguments and what is returned: the lock
-- is free, nobody waits, and there is neither a result nor a cancellation. It goes before the
-- functions that only the other cases need, since Redis makes each function anew at every call.

-- Makes the token the holder of a free lock. The fence goes first: should Redis refuse to store
-- anything, no lock is left behind.
local function take(fence)
  local number, digits = next_fencing_token(fence.number)
  set_fence(fence, number, ARGV[3], ARGV[1], ARGV[2], ARGV[5], digits)
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return {1, number}
end

-- One command tells.
if redis.call('EXISTS', KEYS[1], KEYS[3], KEYS[4], KEYS[5] or KEYS[1]) == 0 then
  -- MGET passes over a stranger's value of another type, which the next SET replaces.
  return take(parse_fence(redis.call('MGET', KEYS[2])[1]))
end
