-- Put before every script. KEYS: ring, leases, generations, state, suspects, observers, all with the service's hash tag. ARGV[1]: a lease in
-- milliseconds. Times are this server's own clock, in milliseconds; a script sees one time throughout.
--   ring         string      the sealed record
--   leases       sorted set  member id -> when its lease lapses
--   generations  hash        member id -> the generation that holds the lease
--   state        hash        sign: last sign of life; generation: last one issued; claim: when the present reaper's
--                            claim ends; stalled, mended: when that was last; turn: when the present turn to change the record ends; reaped: reaps of the last two leases as "at,count,members before;..."
--   suspects     hash        member id -> "generation,capped" and, each on a line of its own, who says that it seems
--                            dead: "m" and a member's id, "o" and another name; the last line ends too
--   observers    sorted set  name -> when it polled last
-- The rules are those of store/memory/leases.rs; the conformance suite holds the two together.
local ring, leases, generations, state, suspects, observers = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local lease = tonumber(ARGV[1])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local function kind(key)
  return redis.call('TYPE', key).ok
end

local function recall(field)
  return tonumber(redis.call('HGET', state, field) or nil)
end

-- When something that operators should know happened last; 0 if it did not.
local function marked(field)
  local mark = recall(field)
  return mark and mark >= 0 and mark < 2 ^ 52 and math.floor(mark) or 0
end

-- It happened now. A mark grows each time.
local function mark(field)
  redis.call('HSET', state, field, string.format('%.0f', math.max(now, marked(field) + 1)))
end

-- Our own keys are mended where somebody put something else: what they held is lost, and leases are given anew.
local function mend(key, want)
  local is = kind(key)
  if is ~= want and is ~= 'none' then
    redis.call('DEL', key)
    if kind(state) == 'hash' or kind(state) == 'none' then mark('mended') end
  end
end

local function grant(id, generation)
  redis.call('ZADD', leases, now + lease, id)
  redis.call('HSET', generations, id, generation)
  redis.call('HDEL', suspects, id)
end

local function finish(id)
  redis.call('ZREM', leases, id)
  redis.call('HDEL', generations, id)
  redis.call('HDEL', suspects, id)
end

local function expires(id)
  return tonumber(redis.call('ZSCORE', leases, id) or nil)
end

-- What was a capped lease is a fresh one: it may be capped again.
local function uncap(id)
  local said, was = string.gsub(redis.call('HGET', suspects, id) or '', '^(%d+),1\n', '%1,0\n')
  if was > 0 then redis.call('HSET', suspects, id, said) end
end

-- A sign of life. After a stall nobody could renew, so everybody gets a fresh lease; says whether it was one. A clock
-- that was set back counts as a stall too, or leases would outlast their holders.
local function alive()
  mend(state, 'hash')
  mend(leases, 'zset')
  mend(generations, 'hash')
  mend(suspects, 'hash')
  mend(observers, 'zset')
  local last = recall('sign')
  local stalled = not last or math.abs(now - last) > lease / 2
  if stalled then
    for _, id in ipairs(redis.call('ZRANGE', leases, 0, -1)) do
      redis.call('ZADD', leases, now + lease, id)
      uncap(id)
    end
  end
  if last and stalled then mark('stalled') end
  redis.call('HSET', state, 'sign', now)
  return stalled
end

-- What is said of the present incarnation of an id: whether its lease is capped, and the lines of those who say it; nil
-- if nobody says anything. What is no saying of ours is forgotten.
local function suspicion(id)
  local said = redis.call('HGET', suspects, id)
  if not said then return nil end
  local generation, capped, by = string.match(said, '^(%d+),([01])(\n.*)$')
  if by and generation == redis.call('HGET', generations, id) and expires(id) then return capped == '1', by end
  redis.call('HDEL', suspects, id)
  return nil
end

-- What is stored without the body: what it is, its first bytes, its length.
local function glimpse()
  local is = kind(ring)
  if is ~= 'string' then return is, '', 0 end
  return is, redis.call('GETRANGE', ring, 0, 511), redis.call('STRLEN', ring)
end

-- How many may be reaped now: half of the members there were before the first reap of the last two leases, rounded up,
-- less those reaped since. Also the reaps that still count.
local function reap_allowance(members)
  local before, count, recent = nil, 0, ''
  for at, reaped, had in string.gmatch(redis.call('HGET', state, 'reaped') or '', '(%d+),(%d+),(%d+);') do
    if math.abs(now - tonumber(at)) < 2 * lease then
      before = before or tonumber(had)
      count = count + tonumber(reaped)
      recent = recent .. at .. ',' .. reaped .. ',' .. had .. ';'
    end
  end
  return math.max(0, math.ceil((before or members) / 2) - count), recent
end
