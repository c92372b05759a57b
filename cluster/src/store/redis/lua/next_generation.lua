-- ARGV[2]: a generation that the new one must exceed. Answers with the new one.
mend(state, 'hash')
local generation = math.max(now, (recall('generation') or 0) + 1, tonumber(ARGV[2]) + 1)
redis.call('HSET', state, 'generation', generation)
return generation
