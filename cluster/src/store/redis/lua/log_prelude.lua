-- Put before every script of the log. KEYS[1]: topic, KEYS[2]: entries; of scripts that open also KEYS[3]: keys, KEYS[4]:
-- older keys; all with the hash tag of service and slot. Times are this server's own clock, in milliseconds; a script
-- sees one time throughout.
--   topic        string  epoch, highest ring version and log generation (20 digits), then as plain numbers: head; first
--                        entry kept; a time that no entry kept is older than; when the entries lapse; when their key
--                        expires; head and time when the keys were last turned over; when the newer keys' key expires.
--                        One string, as a hash of as many fields takes Redis four times as long
--   entries      stream  <offset>-0: t (time), f (from), k (key or ''), d (data). Those below the first kept are removed
--                        a node of the stream at a time
--   keys, older  hashes  digest of sender and key -> "<offset> <time> <digest of the data>". Each is full after so many
--                        messages or so long; then the keys become the older ones, which are forgotten whole
-- The rules are those of log/rules.rs and store/memory/log; the conformance suite holds them together.
local topic, entries = KEYS[1], KEYS[2]
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local epoch, version, generation, head, first, oldest, lapse, expiry, turned, turned_at, keys_expiry
-- Where the first entry kept was when the topic was last saved.
local removed
local SHAPE = '^(%x+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+)$'

-- Numbers from 2^52 on are none that we can have come to, and too large to count on.
local function counted(text)
  local value = tonumber(text)
  return value and value < 2 ^ 52 and value or nil
end

-- Reads what is known of the topic. Answers 'absent' or 'spoilt' if there is nothing that makes sense.
local function load()
  local text = redis.pcall('GET', topic)
  if type(text) == 'table' then return 'spoilt' end
  if not text then return 'absent' end
  local h, f, o, l, e, t, a, k
  epoch, version, generation, h, f, o, l, e, t, a, k = string.match(text, SHAPE)
  if not (epoch and #epoch == 16 and #version == 20 and #generation == 20) then return 'spoilt' end
  head, first, oldest, lapse, expiry = counted(h), counted(f), counted(o), counted(l), counted(e)
  turned, turned_at, keys_expiry = counted(t), counted(a), counted(k)
  if not (head and first and oldest and lapse and expiry and turned and turned_at and keys_expiry) then
    return 'spoilt'
  end
  removed = first
  if now >= lapse then first, lapse = head + 1, 0 end
end
