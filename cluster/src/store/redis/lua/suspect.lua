-- ARGV[2]: who says it, "m" and a member's id or "o" and another name; ARGV[3]: the member's generation; ARGV[4]: the
-- channel to tell; ARGV[5]: how many seem dead; then id and generation of each of them, and of those of whom it is taken
-- back. Answers with the number of leases that were capped. The rules are those of store/memory/suspected.rs.
alive()
local by, name = ARGV[2], string.sub(ARGV[2], 2)
-- What is taken back: a member that holds its lease no more may have spoken as one that did.
local taken_back = {'o' .. name, by}
if string.sub(by, 1, 1) == 'm' and redis.call('HGET', generations, name) ~= ARGV[3] then by = 'o' .. name end
local told, caps = false, 0

-- Whether a majority of the other members says it.
local function agreed(id, said)
  local others, count = redis.call('ZCARD', leases) - 1, 0
  local _, lines = string.gsub(said, '\nm', '')
  if lines <= others / 2 then return false end
  for sayer in string.gmatch(said, '\nm([^\n]+)') do
    if sayer ~= id and (expires(sayer) or 0) > now then count = count + 1 end
  end
  return count > math.floor(others / 2)
end

local function keep(id, generation, capped, said)
  redis.call('HSET', suspects, id, generation .. ',' .. (capped and '1' or '0') .. said)
end

local function suspect(id, generation)
  local lapses = expires(id)
  if not lapses or redis.call('HGET', generations, id) ~= generation then return end
  local capped, said = suspicion(id)
  if not said then
    said, told = '\n', true
  end
  if not string.find(said, '\n' .. by .. '\n', 1, true) then said = said .. by .. '\n' end
  if not capped and agreed(id, said) then
    redis.call('ZADD', leases, lapses - lease + math.floor(lease * 3 / 10), id)
    capped, told, caps = true, true, caps + 1
  end
  keep(id, generation, capped, said)
end

local function trust(id, generation)
  local capped, said = suspicion(id)
  if not said or redis.call('HGET', generations, id) ~= generation then return end
  for _, line in ipairs(taken_back) do
    local from, to = string.find(said, '\n' .. line .. '\n', 1, true)
    if from then said = string.sub(said, 1, from) .. string.sub(said, to + 1) end
  end
  if said ~= '\n' then return keep(id, generation, capped, said) end
  redis.call('HDEL', suspects, id)
  told = true
end

local trusted_from = 6 + 2 * tonumber(ARGV[5])
for at = 6, #ARGV, 2 do
  if at < trusted_from then suspect(ARGV[at], ARGV[at + 1]) else trust(ARGV[at], ARGV[at + 1]) end
end
if told then redis.call('PUBLISH', ARGV[4], '1') end
return caps
