-- After a write whose end is not known: what was read may be wrong, so nobody is served it before
-- the origin was asked again, but for when the origin is down.
--
-- KEYS[1] what was read
-- KEYS[2] the lock of whoever is reading: what that reads may be from before the write
--
-- Returns 1.

redis.call('DEL', KEYS[2])
local value = redis.pcall('GET', KEYS[1])
local known, meta = pcall(cjson.decode, type(value) == 'string' and string.match(value, '^[^\n]*') or '')
local left = redis.call('PTTL', KEYS[1])
if known and type(meta) == 'table' and left > 0 then
  -- As if it had expired so long ago that it can no longer be served while it is fetched.
  local grace = (tonumber(meta.if_error) or 0) - (tonumber(meta.while_revalidate) or 0) - 1
  if grace > 0 then
    redis.call('PEXPIRE', KEYS[1], math.min(left, grace))
    return 1
  end
end
redis.call('DEL', KEYS[1])
return 1
