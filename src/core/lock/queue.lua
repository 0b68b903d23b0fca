-- The queue of a lock. KEYS[3] is the queue.
--
-- What only matters where somebody waits is one argument, `waiters`, since each key and argument of
-- a script takes Redis as long as a third of a command. It has four lines:
--   the key of the waiters' last looks
--   what the keys of signals begin with; the waiter's call follows
--   what the keys of proofs begin with; what ended follows
--   what the script says of it

-- Removes keys. Where an ACL forbids DEL, a time to live of 0 does the same.
local function remove(...)
  if type(redis.pcall('DEL', ...)) == 'table' then
    for _, key in ipairs({...}) do
      redis.call('PEXPIRE', key, 0)
    end
  end
end

-- The functions of the queue. Redis makes each function of a script anew at every call, so a script
-- makes these only where somebody waits. Where only members are parsed, there need be no `waiters`.
local function open_queue(waiters)
  waiters = waiters or '\n\n\n'
  local first = string.find(waiters, '\n', 1, true)
  local second = string.find(waiters, '\n', first + 1, true)
  local third = string.find(waiters, '\n', second + 1, true)
  local seen_key = string.sub(waiters, 1, first - 1)
  local wake_prefix = string.sub(waiters, first + 1, second - 1)
  local proof_prefix = string.sub(waiters, second + 1, third - 1)
  local last_line = string.sub(waiters, third + 1)

  -- How long a live waiter may be silent, in milliseconds. It is longer than the longest time
  -- between two looks, with 80 ms to Redis and back. Who is silent for longer counts as dead, and
  -- is passed over.
  local SILENCE = 1500

  -- The shortest time that a waiter has to claim the lock, in milliseconds.
  local SHORTEST_CLAIM = 300

  -- How many waiters one call passes over, or counts, at most. It bounds the time that a script
  -- takes.
  local MOST_WAITERS = 1000

  -- How long a queue outlives the last look of a waiter, in milliseconds: a wait is a minute at
  -- most.
  local QUEUE_TTL = 90000

  local queue = {SILENCE = SILENCE, proof_prefix = proof_prefix, last_line = last_line}

  -- As redis.call. A stranger's value of another type that is in the way of the queue is removed.
  function queue.call(command, key, ...)
    local reply = redis.pcall(command, key, ...)
    if type(reply) ~= 'table' or not reply.err then
      return reply
    end
    if string.find(reply.err, '^WRONGTYPE') then
      remove(key)
    end
    return redis.call(command, key, ...)
  end

  -- A member of the queue is "call token": the waiter's call and its token. A field of the last
  -- looks is the same.
  function queue.member(call, token)
    return call .. ' ' .. token
  end

  -- Nil for what a stranger has put there.
  function queue.parse_member(member)
    return string.match(member, '^(%S+) (.*)$')
  end

  -- A last look is a time, or "time name" of a waiter that told its name.
  local function last_look(time, name)
    return string.format('%.0f', time) .. (name and ' ' .. name or '')
  end

  -- Returns the time and the name; nil where there was no last look.
  local function parse_last_look(look)
    local time, name = string.match(look or '', '^(%d+) ?(.*)$')
    return tonumber(time), name ~= '' and name or nil
  end

  -- The time of arrival that a score tells. Nil for one that no arrival has: a stranger wrote it.
  function queue.arrival(score)
    local time = tonumber(score)
    return time and time >= 0 and time < NO_NUMBER and math.floor(time) or nil
  end

  -- When the last of those that wait arrived; 0 where nobody waits. Whom a stranger has put behind
  -- all arrivals is taken out.
  function queue.latest()
    for _ = 1, MOST_WAITERS do
      local last = queue.call('ZREVRANGE', KEYS[3], 0, 0, 'WITHSCORES')
      local latest = queue.arrival(last[2])
      if latest or not last[1] then
        return latest or 0
      end
      queue.leave(last[1])
    end
    return 0
  end

  -- Queues a waiter that arrived at this time. One that was passed over, claimed the lock too late,
  -- or was moved by a stranger, gets its old position back.
  function queue.join(member, arrived_at)
    queue.call('ZADD', KEYS[3], string.format('%.0f', arrived_at), member)
    redis.call('PEXPIRE', KEYS[3], QUEUE_TTL)
  end

  -- Notes that a waiter is alive.
  function queue.note_look(member, time, name)
    queue.call('HSET', seen_key, member, last_look(time, name))
    redis.call('PEXPIRE', seen_key, QUEUE_TTL)
  end

  -- Who leaves may be refused: without one of the two, the member is passed over all the same.
  function queue.leave(member)
    pcall(queue.call, 'ZREM', KEYS[3], member)
    pcall(queue.call, 'HDEL', seen_key, member)
  end

  -- How long a waiter has to claim the lock, in milliseconds: up to when its next look is due, so a
  -- lost signal costs nobody their turn, and the dead of one moment cost SILENCE in all, however
  -- many they are. Nil for a waiter that was silent for too long. A last look in the future, after
  -- the clock was set back, says nothing: the waiter's next look puts it right.
  local function time_to_claim(seen)
    local silent = seen and (now() - seen) / 1000
    if not silent or math.abs(silent) > SILENCE then
      return nil
    end
    return math.max(math.floor(SILENCE - math.max(silent, 0)), SHORTEST_CLAIM)
  end

  -- Takes the longest waiter out of the queue, past those that were silent for too long: a live one
  -- of them finds its old position at its next look. Returns the waiter's call, its token, its time
  -- to claim and its name; nil where nobody is left.
  function queue.next_waiter()
    for _ = 1, MOST_WAITERS do
      local member = queue.call('ZPOPMIN', KEYS[3])[1]
      if not member then
        return nil
      end
      local seen, name = parse_last_look(queue.call('HGET', seen_key, member))
      queue.call('HDEL', seen_key, member)
      local call, token = queue.parse_member(member)
      local claim = time_to_claim(seen)
      if claim and call then
        return call, token, claim, name
      end
    end
    return nil
  end

  -- How many waiters live, MOST_WAITERS at most: where more wait, the dead are not told apart.
  function queue.count()
    local waiting = queue.call('ZCARD', KEYS[3])
    if waiting == 0 or waiting > MOST_WAITERS then
      return math.min(waiting, MOST_WAITERS)
    end
    local time, longest = now(), SILENCE * 1000
    local living = 0
    for _, look in ipairs(queue.call('HVALS', seen_key)) do
      local seen = tonumber(look) or parse_last_look(look)
      if seen and math.abs(time - seen) <= longest then
        living = living + 1
      end
    end
    return math.min(living, waiting)
  end

  -- Makes the longest waiter the owner, and signals it. Returns whether there was one.
  function queue.hand_over()
    local call, token, claim, name = queue.next_waiter()
    if not call then
      return false
    end
    local before = parse_fence(redis.call('MGET', KEYS[2])[1])
    set_fence(before, next_fencing_token(before.number), call, token, claim, name)
    redis.call('SET', KEYS[1], token, 'PX', claim)
    queue.signal(call)
    return true
  end

  -- A signal only makes the waiter look sooner, so it may be refused. One that would stay for ever
  -- is taken back.
  function queue.signal(call)
    local signal = wake_prefix .. call
    redis.pcall('RPUSH', signal, '1')
    if type(redis.pcall('PEXPIRE', signal, SILENCE)) == 'table' then
      remove(signal)
    end
  end

  -- The fence of a lock that was handed on names the new owner, so the proof that the last one
  -- ended is kept at a key of its own, for as long as a repetition of the call may come: that is
  -- the last line of `waiters`, in milliseconds.
  function queue.leave_proof(call, value)
    redis.pcall('SET', proof_prefix .. call, value, 'PX', last_line)
  end

  return queue
end
