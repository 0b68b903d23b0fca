-- What is stored under an entry's key.

-- The first line of an entry is "edgelatch1 tag ttl", 55 bytes with its end; its JSON follows.
local LINE = 55

-- How many digits its tag has.
local TAG_LENGTH = 32

-- Where the time to live stands in it.
local TTL_OFFSET = 44

-- The tag of what is stored; nil if nothing is.
local function tag_of(key)
  local kind = redis.call('TYPE', key).ok
  if kind == 'none' then
    return nil
  elseif kind ~= 'string' then
    -- A stranger's value has no bytes to make a tag of, but it is there.
    return 'other'
  end
  local line = redis.call('GETRANGE', key, 0, LINE - 1)
  local tag = string.match(line, '^edgelatch1 (%x+) %d+\n$')
  if tag and #tag == TAG_LENGTH and #line == LINE then
    return tag
  end
  return redis.sha1hex(redis.call('GET', key))
end

-- How an entry says how long it was given to live. What is longer than ten digits can say is zero.
local function ttl_digits(ttl)
  return string.format('%010d', ttl < 1e10 and ttl or 0)
end
