-- ARGV[1]: the epoch wanted, or ''; ARGV[2]: 'after' or 'before'; ARGV[3]: the first offset wanted, in that direction;
-- ARGV[4], ARGV[5]: entries and bytes of data at most. Answers {} for no topic, or {epoch, head, first entry kept, then
-- id, time, from, key and data of each}.
if load() then return {} end
local answer = {epoch, head, first}
if first > head or (ARGV[1] ~= '' and ARGV[1] ~= epoch) then return answer end

local command, from, last = 'XRANGE', ARGV[3], '+'
if ARGV[2] == 'before' then
  command, last = 'XREVRANGE', string.format('%.0f', first)
elseif tonumber(from) < first then
  from = string.format('%.0f', first)
end
local left, bytes = tonumber(ARGV[4]), 0
while left > 0 do
  -- A few at a time, as nobody knows how large they are.
  local wanted = math.min(left, 16)
  local found = redis.call(command, entries, from, last, 'COUNT', wanted)
  for _, entry in ipairs(found) do
    local fields = entry[2]
    local data = fields[8] or ''
    bytes = bytes + #data
    if bytes > tonumber(ARGV[5]) and #answer > 3 then return answer end
    local at = #answer
    answer[at + 1], answer[at + 2], answer[at + 3] = entry[1], fields[2] or '', fields[4] or ''
    answer[at + 4], answer[at + 5] = fields[6] or '', data
  end
  if #found < wanted then break end
  left = left - wanted
  from = '(' .. found[#found][1]
end
return answer
