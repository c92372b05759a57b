-- ARGV[7], ARGV[8]: entries to keep, and for how long; ARGV[9], ARGV[10]: how long keys are kept, and of how many
-- messages; from ARGV[11] on five for each message: digest of sender and key ('' without a key), digest of the data,
-- from, key, data. Answers {'ok', epoch, head, first entry kept, time, then for each message its offset, the negative
-- offset of the one that it repeats, or 0 for a key reused} or {'stale', highest version}.
local count, age = tonumber(ARGV[7]), tonumber(ARGV[8])
local key_ms, key_messages = tonumber(ARGV[9]), tonumber(ARGV[10])

-- The messages remembered under the keys that came: digest -> offset, digest of the data. Nil if that cannot be read.
local function remembered()
  local wanted, offsets, data = {}, {}, {}
  for at = 11, #ARGV, 5 do
    if ARGV[at] ~= '' then wanted[#wanted + 1] = ARGV[at] end
  end
  if #wanted == 0 then return offsets, data, false end
  -- Of a key in both the newer message counts.
  local both = turned > 0 and now - turned_at < key_ms
  for _, hash in ipairs(both and {older, keys} or {keys}) do
    local got = redis.pcall('HMGET', hash, unpack(wanted))
    if got.err then return nil end
    for at, digest in ipairs(wanted) do
      local offset, since, what = string.match(got[at] or '', '^(%d+) (%d+) (.*)$')
      if offset and now - tonumber(since) < key_ms then
        offsets[digest], data[digest] = tonumber(offset), what
      end
    end
  end
  return offsets, data, true
end

-- Keys expire a little later than they must, so that not every call has to say so.
local function remember(pairs_of_keys, before)
  if #pairs_of_keys == 0 then return end
  if head - turned > 64 and before - turned <= 64 then
    -- A value of more than 64 bytes makes Redis hash the keys; it would search up to 512 of them one by one.
    pairs_of_keys[#pairs_of_keys + 1], pairs_of_keys[#pairs_of_keys + 2] = 'large', string.rep('-', 65)
  end
  redis.call('HSET', keys, unpack(pairs_of_keys))
  if now + key_ms > keys_expiry then
    keys_expiry = now + key_ms + math.floor(key_ms / 8)
    redis.call('PEXPIREAT', keys, keys_expiry)
  end
end

-- Before this call's keys come: full ones make room.
local function turn_over()
  if head - turned < key_messages and now - turned_at < key_ms then return end
  if redis.call('EXISTS', keys) == 1 then
    redis.call('RENAME', keys, older)
  else
    redis.call('DEL', older)
  end
  turned, turned_at, keys_expiry = head, now, 0
end

-- Lets go of the entries whose time has passed. They are read to know it, but only when some must go.
local function pass_aged()
  local from = string.format('%.0f', first)
  while true do
    local found = redis.call('XRANGE', entries, from, '+', 'COUNT', 16)
    for _, entry in ipairs(found) do
      first, oldest = tonumber(string.match(entry[1], '^%d+')), counted(entry[2][2]) or 0
      if oldest > now - age then return end
    end
    if #found == 0 then return end
    from = '(' .. found[#found][1]
  end
end

-- Nobody reads below the first entry kept, so that it is soon enough to remove a few at a time.
local function trim()
  first = math.max(first, head - count + 1)
  if oldest <= now - age then pass_aged() end
  if math.floor(first / 16) > math.floor(removed / 16) then
    redis.call('XTRIM', entries, 'MINID', '~', string.format('%.0f', first))
  end
  lapse = now + age
  if lapse > expiry or expiry - lapse > age then
    expiry = lapse + math.floor(age / 8)
    redis.call('PEXPIREAT', entries, expiry)
  end
end

-- Appends everything, or nothing and answers nil if what is stored makes no sense.
local function append()
  local offsets, data, keyed = remembered()
  if not offsets then return nil end
  local before, answer, fresh_keys = head, {'ok', epoch, 0, 0, now}, {}
  local last = head
  for at = 11, #ARGV, 5 do
    local digest, what = ARGV[at], ARGV[at + 1]
    local seen = offsets[digest]
    if seen and seen > last - key_messages then
      answer[#answer + 1] = data[digest] == what and -seen or 0
    else
      -- An explicit id, so that Redis itself refuses an offset that was given before.
      local added = redis.pcall('XADD', entries, string.format('%.0f-0', last + 1),
        't', now, 'f', ARGV[at + 2], 'k', ARGV[at + 3], 'd', ARGV[at + 4])
      if type(added) == 'table' then
        -- No stream, or one that is ahead of its head: somebody else was here.
        local why = added.err
        local alien = string.find(why, 'WRONGTYPE', 1, true) or string.find(why, 'equal or smaller', 1, true)
        if alien and last == before then return nil end
        return added
      end
      last = last + 1
      answer[#answer + 1] = last
      if digest ~= '' then
        offsets[digest], data[digest] = last, what
        fresh_keys[#fresh_keys + 1] = digest
        fresh_keys[#fresh_keys + 1] = string.format('%.0f %.0f ', last, now) .. what
      end
    end
  end
  if last > before then
    if first > head then oldest = now end
    if keyed then turn_over() end
    head, changed = last, true
    remember(fresh_keys, before)
    trim()
  end
  save()
  answer[3], answer[4] = head, first
  return answer
end

local highest = enter()
if highest then return {'stale', highest} end
local answer = append()
if not answer then
  restart()
  answer = append()
end
return answer
