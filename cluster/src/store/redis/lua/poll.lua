-- ARGV[2]: the observer's name, empty for members. Answers with a glimpse of the record, the number of leases and of
-- lapsed ones; id and generation of all who are suspected; in how many milliseconds the first capped lease lapses, -1 if
-- there is none; the number of observers; how often there was a stall, and how often our own keys were mended.
alive()
local is, line, bytes = glimpse()

-- More than there can be members.
if redis.call('HLEN', suspects) > 4096 then
  redis.call('DEL', suspects)
  tally('mended')
end
local suspected, due = {}, -1
for _, id in ipairs(redis.call('HKEYS', suspects)) do
  local capped, said = suspicion(id)
  if said then
    suspected[#suspected + 1] = id
    suspected[#suspected + 1] = redis.call('HGET', generations, id)
    local left = expires(id) - now
    if capped and left > 0 and (due < 0 or left < due) then due = left end
  end
end

if ARGV[2] ~= '' then
  redis.call('ZADD', observers, now, ARGV[2])
  redis.call('ZREMRANGEBYSCORE', observers, '-inf', now - 2 * lease)
  redis.call('ZREMRANGEBYSCORE', observers, '(' .. now, '+inf')
end
return {
  is, line, bytes, redis.call('ZCARD', leases), redis.call('ZCOUNT', leases, '-inf', now), suspected, due,
  redis.call('ZCOUNT', observers, '(' .. (now - 2 * lease), now), tallied('stalls'), tallied('mended')
}
