-- What wrk sends: the requests of a file, `METHOD PATH [BODY]` on each line, in random order.
-- Where a body has KEY, each request has another one of the same length.
--   wrk ... --script load.lua ADDRESS -- FILE SEED

local KEY = "00000000-0000-4000-8000-000000000000"
local heads, tails = {}, {}
local sent = 0

function init(arguments)
  math.randomseed(tonumber(arguments[2]))
  for line in io.lines(arguments[1]) do
    local method, path, body = line:match("^(%S+) (%S+) ?(.*)$")
    local headers = {}
    if body == "" then
      body = nil
    else
      headers["Content-Type"] = "application/json"
    end
    local whole = wrk.format(method, path, headers, body)
    local first, last = whole:find(KEY, 1, true)
    heads[#heads + 1] = first and whole:sub(1, first - 1) or whole
    tails[#heads] = first and whole:sub(last + 1)
  end
end

function request()
  local number = math.random(#heads)
  if not tails[number] then
    return heads[number]
  end
  sent = sent + 1
  -- Random at its front, as such keys are, and unique at its end.
  local key = string.format("%08x-0000-4000-8000-%012x", math.random(0, 0x7fffffff), sent)
  return heads[number] .. key .. tails[number]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "seconds": %.6f, "p50_ms": %.4f, "p99_ms": %.4f, "failed": %d}\n',
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout
  ))
end
