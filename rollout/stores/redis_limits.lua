-- One conversation of a host with the store of limits: it beats, says what it has, and takes what is granted.
-- KEYS: since, hosts, then one for each ask. ARGV: young, quiet and dead after (ms), the host, the time of the last
-- answer that it got ('' for none), then for each ask kind, limit, has, held, wanted, owed, back, day, known free ('' for
-- never looked). Whole numbers, exact below 2^53.
-- Answers hosts, rank, 1 if young, the time, then for each ask granted, free, day, retry (ms).
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

-- A host's beat is followed by when it got its last answer: who got none since goes by its part, whatever it asked.
local function beat_of(word)
  local beat, heard = string.match(word, '^(%d+) (%d+)$')
  return whole(beat) or 0, whole(heard) or 0
end

-- Who is there. `born`: since when anything is remembered; `awake`: since when it is remembered without a gap.
local since, beats = fields_of(KEYS[1]), fields_of(KEYS[2])
local born, awake, newest = whole(since.born), whole(since.awake), 0
for _, word in pairs(beats) do newest = math.max(newest, (beat_of(word))) end
if not born or born > now then born, awake = now, now end
if not awake or awake > now or newest + DEAD / 2 < now then awake = now end
redis.call('HSET', KEYS[1], 'born', written(born), 'awake', written(awake))
local heard = whole(ARGV[5])
local is_lost = heard ~= nil and beats[ME] ~= nil and heard < (beat_of(beats[ME]))
beats[ME] = written(now, math.min(heard or now, now))
redis.call('HSET', KEYS[2], ME, beats[ME])
local living, silent_ms, had_at, ids = {}, {}, {}, {}
for id, word in pairs(beats) do
  local beat, had = beat_of(word)
  if beat > now + QUIET then
    -- The clock went back, as it may where another server took over.
    beat, had = now, now
    redis.call('HSET', KEYS[2], id, written(beat, had))
  end
  if now - math.max(beat, awake) > DEAD then
    redis.call('HDEL', KEYS[2], id)
  else
    living[id], silent_ms[id], had_at[id] = true, now - had > QUIET and now - had or nil, had
    ids[#ids + 1] = id
  end
end
table.sort(ids)
local hosts, rank, young = #ids, 0, now - born < YOUNG
for place, id in ipairs(ids) do if id == ME then rank = place - 1 end end

local function part_of(word) return whole(string.match(word or '', '(%-?%d+)$')) or 0 end

-- What others may have taken by now is kept for them: a host that is quiet goes by its part of what was free, and of a
-- `rate` by what its part grew, up to its part of a minute.
local function kept_for_quiet(key, fields, rate)
  local kept = 0
  for id, word in pairs(fields) do
    if string.sub(id, 1, 1) == '@' and id ~= ME then
      if silent_ms[id] then
        local grown = math.ceil((rate or 0) * silent_ms[id] / TOKEN / hosts)
        local most = rate and math.ceil(rate / hosts) or math.huge
        kept = kept + math.max(0, math.min(most, part_of(word) + grown))
      end
      if not living[id] and not string.find(word, '^%d+ %d+ %d+$') then redis.call('HDEL', key, id) end
    end
  end
  return kept
end

local function granted_of(wanted, room, kept)
  if young then return 0 end
  return math.min(wanted, math.max(0, room - kept))
end

-- A host whose last answer was lost still goes by the part that it was told before.
local function part(free, before)
  local new = math.ceil(free / hosts)
  return is_lost and math.max(new, part_of(before)) or new
end

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
  redis.call('HSET', key, ME, written(mine + more, part(free, fields[ME])))
  redis.call('PEXPIRE', key, DAY)
  return mine + more, free, 0, more < ask.wanted and 500 or 0
end

-- A host's field is its unused tokens, what it owed and what it was granted by its last question, when it had an answer
-- to that (0: of a young store, which settles nothing), its part. What is unsettled is owed again by the next question.
-- The level, all unused tokens and all that is unsettled are never more than the limit.
function settle.rate(key, ask)
  local fields, full, others, mine, taken = fields_of(key), ask.limit * TOKEN, 0, ask.has, 0
  local unsettled = 0
  for id, word in pairs(fields) do
    local has, owed, got, at = string.match(word, '^(%d+) (%-?%d+) (%d+) (%d+) %-?%d+$')
    has, owed, got, at = whole(has), whole(owed), whole(got), whole(at)
    if string.sub(id, 1, 1) == '@' and not living[id] then
      redis.call('HDEL', key, id)
      fields[id] = nil
    elseif has and owed and got and at and id == ME then
      mine = has
      if at == 0 or (heard and at > heard) then mine, taken = math.max(0, has - got - owed), owed + got end
    elseif has and owed and at then
      if at == 0 or at > had_at[id] then
        unsettled = unsettled + math.max(0, owed)
        has = math.max(has, owed)
      end
      others = others + has
    end
  end
  local level, at = whole(fields.level), whole(fields.at)
  local known = math.min(ask.known or ask.limit, ask.limit) * TOKEN
  level = level and at and level + math.max(0, now - at) * ask.limit + taken * TOKEN or known
  if young then level = math.min(level, known - unsettled * TOKEN) end
  level = math.min(level, full - (others + mine) * TOKEN)
  local back = young and 0 or ask.back
  local owed, has = ask.owed - back, ask.has + ask.back - back
  level = math.min(math.max(-full, level - owed * TOKEN), full - (others + has) * TOKEN)
  local room = math.max(0, math.floor(level / TOKEN))
  local more = granted_of(ask.wanted, room, kept_for_quiet(key, fields, ask.limit))
  level = level - more * TOKEN
  local free = math.floor(level / TOKEN)
  local field = written(has + more, owed, more, young and 0 or now, part(free, fields[ME]))
  redis.call('HSET', key, 'level', written(level), 'at', written(now), ME, field)
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
  redis.call('HSET', key, ME, written(day, has + more, part(free, fields[ME])))
  redis.call('PEXPIRE', key, 3 * DAY)
  return has + more, free, day, more < ask.wanted and (day + 1) * DAY - now or 0
end

local answers = {hosts, rank, young and 1 or 0, now}
for number = 3, #KEYS do
  local word = 5 + (number - 3) * 9
  local ask = {
    limit = tonumber(ARGV[word + 2]), has = tonumber(ARGV[word + 3]), held = tonumber(ARGV[word + 4]),
    wanted = tonumber(ARGV[word + 5]), owed = tonumber(ARGV[word + 6]), back = tonumber(ARGV[word + 7]),
    day = tonumber(ARGV[word + 8]), known = whole(ARGV[word + 9]),
  }
  for _, one in ipairs({settle[ARGV[word + 1]](KEYS[number], ask)}) do answers[#answers + 1] = one end
end
return answers
