-- Answers 1 if the caller has the turn to change the record, 0 if somebody else has.
mend(state, 'hash')
local turn, length = recall('turn') or 0, math.floor(lease / 15)
if now < turn and turn - now <= length then return 0 end
redis.call('HSET', state, 'turn', now + length)
return 1
