-- The load that wrk sends, and the report that it prints: one line of JSON.
--
-- Arguments after `--`: the case, the number of users (a power of ten), the seed, the size of a
-- cached value in bytes, and whose paths to ask for: the service's, or those of webdis, which only
-- reads and writes values.

local counter = 0

function setup(thread)
  counter = counter + 1
  thread:set("number", counter)
end

local value
local users
local last
local next_request

-- Visits all users in a scattered order before it repeats one. So concurrent requests never compete
-- for one lock, which peers that don't wait would answer with a failure. 61803 and powers of ten
-- have no common factor.
local function next_user()
  last = (last + 61803) % users
  return last + 1
end

-- The path before and after the user's number, to read and to write a value.
local paths = {
  service = {
    get = { "/api/v1/users/", "/cache/bench" },
    put = { "/api/v1/users/", "/cache/bench" },
  },
  webdis = {
    -- The value as it is, and not within JSON of webdis' own.
    get = { "/GET/user:", ":bench.txt?type=application/json" },
    put = { "/SETEX/user:", ":bench/3600" },
  },
}
local own_paths

local json = { ["Content-Type"] = "application/json" }

local function get()
  return wrk.format("GET", own_paths.get[1] .. next_user() .. own_paths.get[2], {})
end

local function put()
  return wrk.format("PUT", own_paths.put[1] .. next_user() .. own_paths.put[2], json, value)
end

local function act(name)
  return function()
    -- With `Content-Length: 0`, as clients send it with an empty POST (RFC 9110, section 8.6).
    return wrk.format("POST", "/api/v1/users/" .. name .. "?user_id=" .. next_user(), {}, "")
  end
end

local cases = {
  ["perform-action"] = act("perform-action"),
  ["attempt-action"] = act("attempt-action"),
  ["get"] = get,
  ["put"] = put,
  ["mixed"] = function()
    return math.random(10) == 1 and put() or get()
  end,
}

function init(args)
  next_request = cases[args[1]]
  users = tonumber(args[2])
  math.randomseed(tonumber(args[3]) + 1000003 * number)
  last = math.random(users) - 1
  own_paths = paths[args[5]]
  value = '"' .. string.rep("x", tonumber(args[4]) - 2) .. '"'
end

function request()
  return next_request()
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"micros":%d,"status":%d,"failed":%d,"p50":%d,"p90":%d,"p99":%d,"max":%d}\n',
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(90), latency:percentile(99), latency.max))
end
