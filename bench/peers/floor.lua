-- The floor: wrk posts payments as fast as the sandbox answers, and remembers nothing.
local threads = 0
function setup(thread) thread:set("id", threads); threads = threads + 1 end
function init(args) count = 0; math.randomseed(os.time() + id) ; base = math.random(0, 2^31 - 1) end
function request()
  count = count + 1
  local key = string.format("%08x-%04x-4%03x-8%03x-%012x", base, id, count % 4096, math.floor(count / 4096) % 4096, count)
  local body = string.format('{"campaign_id":1,"member_id":"floor-%d-%d-%d","amount":100,"reason":"bench"}', base, id, count)
  return wrk.format("POST", "/v1/points", { ["Content-Type"] = "application/json", ["Idempotency-Key"] = key }, body)
end
