-- ARGV[2]: member id, ARGV[3]: its generation, ARGV[4]: the channel to tell. Answers with a glimpse of the record and 1 if the lease runs on, 0 if it
-- had lapsed, ended, or is another incarnation's.
alive()
local id, held = ARGV[2], 0
if redis.call('HGET', generations, id) == ARGV[3] and (expires(id) or 0) > now then
  redis.call('ZADD', leases, now + lease, id)
  held = 1
  if redis.call('HDEL', suspects, id) == 1 then redis.call('PUBLISH', ARGV[4], '1') end
end
local is, line, bytes = glimpse()
return {is, line, bytes, held}
