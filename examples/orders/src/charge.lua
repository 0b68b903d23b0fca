-- Charges an order once, and refuses a holder that lost the lock.
--
-- KEYS: the user's ledger, a hash: `fencing_token`, `total_cents` and `order:{order}`
-- ARGV: fencing token, order, cents
-- Replies {1, cents, total} where the order is charged, {0, newer} where a greater token was there.
local token = tonumber(ARGV[1])
local newest = tonumber(redis.call('HGET', KEYS[1], 'fencing_token') or '0')
if token < newest then
    return {0, newest}
end
redis.call('HSET', KEYS[1], 'fencing_token', ARGV[1])
local order = 'order:' .. ARGV[2]
if redis.call('HSETNX', KEYS[1], order, ARGV[3]) == 1 then
    redis.call('HINCRBY', KEYS[1], 'total_cents', ARGV[3])
end
local cents = tonumber(redis.call('HGET', KEYS[1], order))
return {1, cents, tonumber(redis.call('HGET', KEYS[1], 'total_cents'))}
