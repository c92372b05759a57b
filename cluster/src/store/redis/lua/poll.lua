-- ARGV[2]: the observer's name, empty for members. Answers with a glimpse of the record, the number of leases and of
-- lapsed ones; id and generation of all who are suspected; in how many milliseconds the first capped lease lapses, -1 if
-- there is none; the number of observers; the marks of the last stall and of the last
-- mending of our own keys.
alive()
local is, line, bytes = glimpse()

-- No lease of ours ends later than that.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', leases, '(' .. (now + lease), '+inf', 'LIMIT', 0, 4096)) do
  redis.call('ZADD', leases, now + lease, id)
end

-- More than there can be members.
if redis.call('HLEN', suspects) > 4096 then
  redis.call('DEL', suspects)
  mark('mended')
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
  redis.call('ZCOUNT', observers, '(' .. (now - 2 * lease), now), marked('stalled'), marked('mended')
}
