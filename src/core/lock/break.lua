-- Takes the lock from whoever holds it, a stranger too, and hands it to the longest waiter.
--
-- KEYS[1] the lock          ARGV[1] the call: tells this break from others. It does not say that the
-- KEYS[2] its fence                 holder's work has ended
-- KEYS[3] its queue         ARGV[2] `waiters` as in queue.lua, with the time to live of the proof
--                                   in milliseconds
--
-- Returns {fencing token, the holder's name or an empty string}: the fencing token is 0 where a
-- stranger held the lock, and -1 where nobody did.
--
-- A call that is repeated because its answer was lost finds the proof, and breaks no lock that was
-- taken since.

-- The proof tells what was broken: "number name", the holder's fencing token and name. The number is
-- 0 where a stranger held the lock, and -1 where nobody did.
local function broken_value(number, name)
  return string.format('%.0f %s', number, name or '')
end

local function parse_broken(value)
  local number, name = string.match(value, '^(%S+) (.*)$')
  return tonumber(number), name
end

local queue = open_queue(ARGV[2])
local proof = redis.call('MGET', queue.proof_prefix .. ARGV[1])[1]
if proof then
  return {parse_broken(proof)}
end

local number, holder = -1, nil
if redis.call('EXISTS', KEYS[1]) == 1 then
  local _, fence, _, _, known = look()
  number, holder = known and fence.number or 0, known and fence.name or nil
  -- The fence says that somebody may still be at work: a holder that never learns of this, or a
  -- stranger, who gets a fencing token for that. It says who the holder was in place of the call,
  -- since it must name no owner. A full Redis may refuse it.
  local lost = known and fence.number or next_fencing_token(fence.number)
  pcall(set_fence, fence, lost, known and BROKEN .. fence.owner or ARGV[1], nil, 0)
end
-- A full Redis may refuse this too. Breaking the lock matters more.
queue.leave_proof(ARGV[1], broken_value(number, holder))
give_back(ARGV[2])
return {number, holder or ''}
