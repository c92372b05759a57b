-- Put before the scripts that open a topic. KEYS: topic, entries, keys, older keys, all with the hash tag of service and
-- slot. ARGV[1], ARGV[2]: the caller's ring version and log generation, in 20 digits; ARGV[3], ARGV[4]: epoch and
-- offset that the caller knows of, or '' and 0; ARGV[5]: a fresh epoch; ARGV[6]: how long epoch and head are kept, in
-- milliseconds. Times are this server's own clock, in milliseconds; a script sees one time throughout.
--   topic        hash    epoch, head: where the log stands; version, generation: the highest seen; oldest: no entry is
--                        older than this time; turned, turned_at: head and time when the keys were last turned over
--   entries      stream  <offset>-0: t (time), f (from), k (key or ''), d (data)
--   keys, older  hashes  digest of sender and key -> "<offset> <time> <digest of the data>". Each is full after so many
--                        messages or so long; then the keys become the older ones, which are forgotten whole
-- The rules are those of log/rules.rs and store/memory/log; the conformance suite holds them together.
local topic, entries, keys, older = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local version, generation, fresh_epoch, position_ms = ARGV[1], ARGV[2], ARGV[5], tonumber(ARGV[6])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local epoch, head, length, oldest, turned, turned_at
local anew, changed = false, false

-- What is no count that we can have come to (not a number, too large to count on) is none.
local function counted(text)
  local value = text and string.find(text, '^%d+$') and tonumber(text)
  return value and value < 2 ^ 52 and value or nil
end

local function shaped(text, pattern, bytes)
  return text and #text == bytes and string.find(text, pattern) ~= nil
end

-- The topic begins anew: whatever there was belongs to another epoch.
local function restart()
  redis.call('DEL', topic, entries, keys, older)
  epoch, head, length, oldest, turned, turned_at = fresh_epoch, 0, 0, now, 0, now
  anew, changed = true, true
end

-- Answers with the highest version seen if the caller's is lower.
local function enter()
  local got = redis.pcall('HMGET', topic, 'epoch', 'head', 'version', 'generation', 'oldest', 'turned', 'turned_at')
  length = redis.pcall('XLEN', entries)
  if got.err or type(length) == 'table' then return restart() end
  epoch, head, oldest, turned, turned_at = got[1], counted(got[2]), counted(got[5]), counted(got[6]), counted(got[7])
  if not (shaped(epoch, '^%x+$', 16) and head and oldest and turned and turned_at
      and shaped(got[3], '^%d+$', 20) and shaped(got[4], '^%d+$', 20)) then
    return restart()
  end
  if version < got[3] then return got[3] end
  changed = version ~= got[3] or generation ~= got[4]
  local newer = generation > got[4]
  if not newer then generation = got[4] end
  if newer or (epoch == ARGV[3] and tonumber(ARGV[4]) > head) then return restart() end
end

local function save()
  redis.call('HSET', topic, 'epoch', epoch, 'head', head, 'version', version, 'generation', generation,
    'oldest', oldest, 'turned', turned, 'turned_at', turned_at)
end

-- Saves what opening changed, and keeps the position for as long as is promised.
local function opened()
  if changed then save() end
  if anew then
    redis.call('PEXPIRE', topic, position_ms)
  else
    redis.call('PEXPIRE', topic, position_ms, 'GT')
  end
end
