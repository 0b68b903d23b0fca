-- What the lock's scripts share. KEYS[1] is the lock, ARGV[1] the owner's token; KEYS[2] is the fence where there is one.

-- Whether the token holds the lock. A stranger may have put a value of any type there: GET on a list would be an error,
-- and it is somebody's lock.
local function mine()
  return redis.call('TYPE', KEYS[1]).ok == 'string' and redis.call('GET', KEYS[1]) == ARGV[1]
end

-- The fence holds "number call owner": the last fencing token, the call that it was made for, and whose it is.
-- Returns number and call, nil where the last fencing token is somebody else's, and always the last number.
local function last_fencing_token()
  local number, call, owner = string.match(redis.call('GET', KEYS[2]) or '', '^(%d+) (%S+) (.*)$')
  number = tonumber(number) or 0
  if owner == ARGV[1] then
    return number, call, number
  end
  return nil, nil, number
end

-- The greater of the last number plus one and the server's clock in microseconds: it goes on increasing when the fence has
-- expired or was evicted, and when the clock was set back.
local function next_fencing_token(last)
  local now = redis.call('TIME')
  return math.max(last + 1, now[1] * 1000000 + now[2])
end

-- Whether the token holds the lock without interruption since it was given this fencing token. A repetition of acquire.lua that a
-- broken connection hands over late may take a lock anew that was lost in between, for a holder that does not know of it; then the
-- fence has a greater number. A fence that was evicted tells nothing.
local function mine_since(given)
  local number = last_fencing_token()
  return mine() and (number == nil or number == given)
end
