-- What is stored under an entry's key.

-- The first line of an entry is "edgelatch1 tag", 44 bytes with its end; its JSON follows.
local LINE = 44

-- The tag in the first line of an entry; nil in what is none.
local function tag_in(line)
  return string.match(line, '^edgelatch1 (%x+)\n$')
end

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
  return tag_in(line) or redis.sha1hex(redis.call('GET', key))
end
