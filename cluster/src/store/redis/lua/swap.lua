-- Compare and set. ARGV[2]: what is expected: "absent", "record", "oversized" or "other"; ARGV[3]: of a record the SHA-1
-- of its bytes, of an oversized one its length; ARGV[4]: the new record; ARGV[5]: the channel to tell; ARGV[6]: how the
-- leases change, with arguments from ARGV[7] on. Answers "done", "changed" or "refused".
alive()

local is, want = kind(ring), ARGV[2]
local same
if want == 'absent' then
  same = is == 'none'
elseif want == 'record' then
  same = is == 'string' and redis.sha1hex(redis.call('GET', ring)) == ARGV[3]
elseif want == 'oversized' then
  same = is == 'string' and redis.call('STRLEN', ring) == tonumber(ARGV[3])
else
  same = is ~= 'none' and is ~= 'string'
end
if not same then return 'changed' end

local change = ARGV[6]
if change == 'grant' then
  -- id, generation, whether only a lapsed lease may be replaced
  if ARGV[9] == '1' and (expires(ARGV[7]) or 0) > now then return 'refused' end
  grant(ARGV[7], ARGV[8])
elseif change == 'end' then
  -- id
  finish(ARGV[7])
elseif change == 'reap' then
  -- number of members before, ids
  local allowed, recent = reap_allowance(tonumber(ARGV[7]))
  local count = #ARGV - 7
  if count > allowed then return 'refused' end
  for at = 8, #ARGV do
    if (expires(ARGV[at]) or now + 1) > now then return 'refused' end
  end
  for at = 8, #ARGV do finish(ARGV[at]) end
  redis.call('HSET', state, 'reaped', string.format('%s%.0f,%d,%s;', recent, now, count, ARGV[7]))
  redis.call('HDEL', state, 'claim')
elseif change == 'reset' then
  -- id and generation of each member
  redis.call('DEL', leases, generations, suspects)
  for at = 7, #ARGV, 2 do grant(ARGV[at], ARGV[at + 1]) end
end

if is ~= 'string' then redis.call('DEL', ring) end
redis.call('SET', ring, ARGV[4])
redis.call('HDEL', state, 'turn')
redis.call('PUBLISH', ARGV[5], '1')
return 'done'
