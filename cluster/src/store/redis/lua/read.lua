-- Answers what the ring key is, its length, and its bytes unless there are more than ARGV[2].
local is = kind(ring)
if is ~= 'string' then return {is, 0, ''} end
local bytes = redis.call('STRLEN', ring)
if bytes > tonumber(ARGV[2]) then return {is, bytes, ''} end
return {is, bytes, redis.call('GET', ring)}
