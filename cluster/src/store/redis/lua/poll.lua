-- Answers with a glimpse of the record, the number of leases and the number of lapsed ones.
alive()
local is, line, bytes = glimpse()
return {is, line, bytes, redis.call('ZCARD', leases), redis.call('ZCOUNT', leases, '-inf', now)}
