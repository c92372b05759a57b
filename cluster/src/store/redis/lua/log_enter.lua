-- Put before the scripts that open a topic. ARGV[1], ARGV[2]: the caller's ring version and log generation, in 20 digits;
-- ARGV[3], ARGV[4]: epoch and offset that the caller knows of, or '' and 0; ARGV[5]: a fresh epoch; ARGV[6]: how long
-- epoch and head are kept, in milliseconds.
local keys, older = KEYS[3], KEYS[4]
local position_ms = tonumber(ARGV[6])
local changed = false

-- The topic begins anew: whatever there was belongs to another epoch.
local function restart()
  redis.call('DEL', topic, entries, keys, older)
  epoch, head, first, oldest, lapse, expiry, removed = ARGV[5], 0, 1, now, 0, 0, 1
  turned, turned_at, keys_expiry = 0, now, 0
  changed = true
end

-- Answers with the highest version seen if the caller's is lower.
local function enter()
  local nothing, seen, seen_generation = load(), version, generation
  version, generation = ARGV[1], ARGV[2]
  if nothing then return restart() end
  if version < seen then return seen end
  changed = version ~= seen or generation ~= seen_generation
  local younger = generation > seen_generation
  if not younger then generation = seen_generation end
  if younger or (epoch == ARGV[3] and tonumber(ARGV[4]) > head) then return restart() end
end

-- Keeps the position for as long as is promised after this call and after the last entry.
local function save()
  local kept = math.max(lapse - now, 0) + position_ms
  if not changed then return redis.call('PEXPIRE', topic, kept) end
  local text = string.format('%s %s %s %.0f %.0f %.0f %.0f %.0f %.0f %.0f %.0f', epoch, version, generation, head,
    first, oldest, lapse, expiry, turned, turned_at, keys_expiry)
  redis.call('SET', topic, text, 'PX', kept)
end
