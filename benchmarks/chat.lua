-- A chat completion of 16 messages, by one of a thousand users; BENCH_BODY_KIB says how large.
local body_kib = tonumber(os.getenv("BENCH_BODY_KIB") or "4")
local filler = string.rep("The quick brown fox jumps over the lazy dog. ", math.floor(body_kib * 1.4))
local messages = {}
for i = 1, 16 do
  messages[i] = '{"role":"' .. (i % 2 == 1 and "user" or "assistant") .. '","content":"' .. filler .. '"}'
end
local tail = '","messages":[' .. table.concat(messages, ",") .. "]}"

wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer " .. (os.getenv("BENCH_KEY") or "")

local user = 0
request = function()
  user = (user + 1) % 1000
  return wrk.format(nil, "/v1/chat/completions", nil, '{"model":"sales-companion","user":"user-' .. user .. tail)
end
