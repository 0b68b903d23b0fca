-- How many wait, for the scripts that tell it. KEYS[3] is the queue, KEYS[4] the last looks.

-- How many waiters are counted at most. It bounds the time that a script takes.
local MOST_COUNTED = 1000

-- How many waiters live, MOST_COUNTED at most: where more wait, the dead are not told apart.
local function count_waiters()
  local waiting = redis.call('ZCARD', KEYS[3])
  if waiting == 0 or waiting > MOST_COUNTED then
    return math.min(waiting, MOST_COUNTED)
  end
  local time, longest = now(), SILENCE * 1000
  local living = 0
  for _, look in ipairs(redis.call('HVALS', KEYS[4])) do
    local seen = tonumber(look) or parse_last_look(look)
    if seen and math.abs(time - seen) <= longest then
      living = living + 1
    end
  end
  return math.min(living, waiting)
end
