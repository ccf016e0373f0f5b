-- What wrk posts: the requests of a file, each of the same length, in turn; in the end the figures as JSON.
-- wrk ... -- FILE LENGTH
local requests, number = {}, 0

function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  local length = tonumber(arguments[2])
  for one in function() return file:read(length) end do
    requests[#requests + 1] = one
  end
  file:close()
end

function request()
  number = number % #requests + 1
  return requests[number]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"seconds":%f,"p50_ms":%f,"p99_ms":%f,"longest_ms":%f,"refused":%d,"lost":%d}\n',
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
