-- How does wrk send one body again and again, and say what it saw? Arguments: the body's file, then headers.
function init(arguments)
  local file = io.open(arguments[1], "rb")
  wrk.method = "POST"
  wrk.body = file:read("*a")
  file:close()
  for place = 2, #arguments do
    local name, value = arguments[place]:match("^([^:]+): (.*)$")
    wrk.headers[name] = value
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  local figures = {
    requests = summary.requests,
    microseconds = summary.duration,
    p50 = latency:percentile(50),
    p99 = latency:percentile(99),
    failed = errors.connect + errors.read + errors.write + errors.timeout + errors.status,
  }
  for name, value in pairs(figures) do
    io.write(string.format("loadline %s %.0f\n", name, value))
  end
end
