-- One conversation of a host with the store of limits: it beats, says what it has, and takes what is granted.
-- KEYS: since, hosts, then one for each ask. ARGV: young, quiet and dead after (ms), the host, then for each ask
-- kind, limit, has, held, wanted, owed, day, known free ('' for never looked). Whole numbers, exact below 2^53.
-- Answers hosts, rank, 1 if young, then for each ask granted, free, day, retry (ms).
-- A hash that cannot be read, or a field that no host wrote, counts as lost: hosts say again what was in it.
local YOUNG, QUIET, DEAD, ME = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), '@' .. ARGV[4]
local TOKEN, DAY = 60000, 86400000
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local today = math.floor(now / DAY)

local function whole(word)
  if word and #word <= 19 and string.match(word, '^%-?%d+$') then return tonumber(word) end
  return nil
end

local function written(...)
  local words = {...}
  for i, number in ipairs(words) do words[i] = string.format('%.0f', number) end
  return table.concat(words, ' ')
end

local function fields_of(key)
  local got = redis.pcall('HGETALL', key)
  if got.err then
    if not string.find(got.err, 'WRONGTYPE', 1, true) then error(got) end
    redis.call('DEL', key)
    got = {}
  end
  local fields = {}
  for i = 1, #got, 2 do fields[got[i]] = got[i + 1] end
  return fields
end

-- Who is there. `born`: since when anything is remembered; `awake`: since when it is remembered without a gap.
local since, beats = fields_of(KEYS[1]), fields_of(KEYS[2])
local born, awake, newest = whole(since.born), whole(since.awake), 0
for _, word in pairs(beats) do newest = math.max(newest, whole(word) or 0) end
if not born or born > now then born, awake = now, now end
if not awake or awake > now or newest + DEAD / 2 < now then awake = now end
redis.call('HSET', KEYS[1], 'born', written(born), 'awake', written(awake))
beats[ME] = written(now)
redis.call('HSET', KEYS[2], ME, beats[ME])
local living, quiet, ids = {}, {}, {}
for id, word in pairs(beats) do
  local beat = whole(word) or 0
  if beat > now + QUIET then
    -- The clock went back, as it may where another server took over.
    beat = now
    redis.call('HSET', KEYS[2], id, written(beat))
  end
  if now - math.max(beat, awake) > DEAD then
    redis.call('HDEL', KEYS[2], id)
  else
    living[id], quiet[id] = true, now - beat > QUIET
    ids[#ids + 1] = id
  end
end
table.sort(ids)
local hosts, rank, young = #ids, 0, now - born < YOUNG
for place, id in ipairs(ids) do if id == ME then rank = place - 1 end end

-- What others may have taken by now is kept for them: a host that is quiet goes by its part of what was free.
local function kept_for_quiet(key, fields)
  local kept = 0
  for id, word in pairs(fields) do
    if string.sub(id, 1, 1) == '@' and id ~= ME then
      if quiet[id] then kept = kept + (whole(string.match(word, '(%d+)$')) or 0) end
      if not living[id] and not string.find(word, '^%d+ %d+ %d+$') then redis.call('HDEL', key, id) end
    end
  end
  return kept
end

local function granted_of(wanted, room, kept)
  if young then return 0 end
  return math.min(wanted, math.max(0, room - kept))
end

local function part(free) return math.ceil(free / hosts) end

local settle = {}

function settle.slots(key, ask)
  local fields, others = fields_of(key), 0
  for id, word in pairs(fields) do
    if living[id] and id ~= ME then others = others + (whole(string.match(word, '^(%d+) ')) or 0) end
  end
  local mine = math.max(ask.held, math.min(ask.has, math.max(0, ask.limit - others)))
  local room = math.max(0, ask.limit - others - mine)
  local more = granted_of(ask.wanted, room, kept_for_quiet(key, fields))
  local free = room - more
  redis.call('HSET', key, ME, written(mine + more, part(free)))
  redis.call('PEXPIRE', key, DAY)
  return mine + more, free, 0, more < ask.wanted and 500 or 0
end

function settle.rate(key, ask)
  local fields, full = fields_of(key), ask.limit * TOKEN
  local level, at = whole(fields.level), whole(fields.at)
  local known = math.min(ask.known or ask.limit, ask.limit) * TOKEN
  level = level and at and math.min(full, level + math.max(0, now - at) * ask.limit) or known
  if young then level = math.min(level, known) end
  level = math.max(-full, level - ask.owed * TOKEN)
  local more = granted_of(ask.wanted, math.max(0, math.floor(level / TOKEN)), kept_for_quiet(key, fields))
  level = level - more * TOKEN
  local free = math.max(0, math.floor(level / TOKEN))
  redis.call('HSET', key, 'level', written(level), 'at', written(now), ME, written(part(free)))
  redis.call('PEXPIRE', key, DAY)
  local retry = more < ask.wanted and math.max(1, math.ceil((TOKEN - level) / ask.limit)) or 0
  return more, free, 0, retry
end

-- A host's field is its day, its nano-USD, its part; `lost` is of earlier lives of hosts, whose spending nobody tells.
function settle.cost(key, ask)
  local day = math.max(today, ask.day)
  local has = ask.day == day and ask.has or 0
  local fields, others, mine, lost = fields_of(key), 0, 0, 0
  for id, word in pairs(fields) do
    local of, amount = string.match(word, '^(%d+) (%d+) %d+$')
    of, amount = whole(of), whole(amount) or 0
    if not of or of < today then
      redis.call('HDEL', key, id)
      fields[id] = nil
    elseif of == day and id == ME then mine = amount
    elseif of == day then
      others = others + amount
      if id == 'lost' then lost = amount end
    end
  end
  if not ask.known and mine > has then
    others = others + mine - has
    redis.call('HSET', key, 'lost', written(day, lost + mine - has, 0))
  end
  local room = math.max(0, ask.limit - others - has)
  local more = day > today and 0 or granted_of(ask.wanted, room, kept_for_quiet(key, fields))
  local free = room - more
  redis.call('HSET', key, ME, written(day, has + more, part(free)))
  redis.call('PEXPIRE', key, 3 * DAY)
  return has + more, free, day, more < ask.wanted and (day + 1) * DAY - now or 0
end

local answers = {hosts, rank, young and 1 or 0}
for number = 3, #KEYS do
  local word = 4 + (number - 3) * 8
  local ask = {
    limit = tonumber(ARGV[word + 2]), has = tonumber(ARGV[word + 3]), held = tonumber(ARGV[word + 4]),
    wanted = tonumber(ARGV[word + 5]), owed = tonumber(ARGV[word + 6]), day = tonumber(ARGV[word + 7]),
    known = whole(ARGV[word + 8]),
  }
  for _, one in ipairs({settle[ARGV[word + 1]](KEYS[number], ask)}) do answers[#answers + 1] = one end
end
return answers
