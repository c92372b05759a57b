-- ARGV[2]: a generation that the new one must exceed. Answers with the new one.
mend(state, 'hash')
local last = recall('generation')
-- What is no count that we can have come to (not a number, too large to count on) is forgotten.
if not (last and last < 2 ^ 52) then last = 0 end
local generation = math.max(now, last + 1, tonumber(ARGV[2]) + 1)
redis.call('HSET', state, 'generation', generation)
return generation
