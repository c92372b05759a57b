-- ARGV[2]: header line of the caller's view, then id and generation of each of its members. Answers with the ids that
-- may be reaped now, to one caller in a sixth of a lease.
local stalled = alive()
local line = ARGV[2]
if kind(ring) ~= 'string' or redis.call('GETRANGE', ring, 0, #line - 1) ~= line then return {} end

local is_member, members = {}, (#ARGV - 2) / 2
for at = 3, #ARGV, 2 do
  is_member[ARGV[at]] = true
  if not expires(ARGV[at]) then grant(ARGV[at], ARGV[at + 1]) end
end
if redis.call('ZCARD', leases) > members then
  for _, id in ipairs(redis.call('ZRANGE', leases, 0, -1)) do
    if not is_member[id] then finish(id) end
  end
end
if stalled then return {} end

local claim, claimed = math.floor(lease / 6), recall('claim') or 0
if now < claimed and claimed - now <= claim then return {} end
local allowed = reap_allowance(members)
if allowed == 0 then return {} end
local ids = redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, allowed)
if #ids > 0 then redis.call('HSET', state, 'claim', now + claim) end
return ids
