//! The scripts that Redis runs. Each is atomic, and each checks that the queue is still the one that its caller knows.
//!
//! Numbers are Lua's doubles: positions stay below 2^53. Scripts that change what is kept may run while Redis is out of
//! memory (`allow-oom`), since they are what frees it; an append may not, and Redis then refuses it before it begins.

use std::sync::LazyLock;

use redis::Script;

/// What a script answers when the queue in Redis is another one than its caller knows.
pub(crate) const REPLACED: &str = "DEVLOGSREPLACED";
/// What a commit is answered whose lease is another member's now.
pub(crate) const FENCED: &str = "DEVLOGSFENCED";
/// What a commit beyond the last message is answered.
pub(crate) const BEYOND: &str = "DEVLOGSBEYOND";

/// Positions that different runs of the Redis process gave differ above these bits; what stands there is about the
/// second of the run's first greeting.
pub(crate) const RUN_BITS: u32 = 22;

/// KEYS meta. ARGV: the server's run id, a new incarnation, partitions, format version.
/// Answers incarnation, partitions, format version.
///
/// The first to come after a restart of Redis raises the floor of all positions above all that were ever given, also
/// those that were lost with the end of Redis's file or are not in a copy. What was lost may include the last raise
/// itself, so the clock tells how high, in seconds since 2025: no partition gets 2^22 messages in a second.
pub(crate) static GREET: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"#!lua flags=allow-oom
local meta = KEYS[1]
if redis.call('HSETNX', meta, 'incarnation', ARGV[2]) == 1 then
  redis.call('HSET', meta, 'version', ARGV[4], 'run', ARGV[1], 'floor', '0')
end
local known = tonumber(redis.call('HGET', meta, 'partitions') or '0')
local partitions = math.max(known, tonumber(ARGV[3]))
if partitions > known then
  redis.call('HSET', meta, 'partitions', partitions)
end
if redis.call('HGET', meta, 'run') ~= ARGV[1] then
  local run_size = 2 ^ 22
  local highest = tonumber(redis.call('HGET', meta, 'floor'))
  for partition = 0, partitions - 1 do
    highest = math.max(highest, tonumber(redis.call('HGET', meta, 'next:' .. partition) or '0'))
  end
  local seconds = tonumber(redis.call('TIME')[1]) - 1735689600
  local floor = math.max(math.floor(highest / run_size) + 1, seconds) * run_size
  redis.call('HSET', meta, 'run', ARGV[1], 'floor', string.format('%.0f', floor))
end
return redis.call('HMGET', meta, 'incarnation', 'partitions', 'version')",
    )
});

/// KEYS meta, stream, marks. ARGV: incarnation, partition, bytes between marks; then eight for each message.
/// Answers the first position; the messages stand at it and behind it without gaps. The stretch that a restart of Redis
/// left out before them is kept, so that nobody takes it for messages.
pub(crate) static APPEND: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"#!lua
local meta, stream, marks, p = KEYS[1], KEYS[2], KEYS[3], ARGV[2]
local state = redis.call('HMGET', meta, 'incarnation', 'next:' .. p, 'floor', 'bytes:' .. p, 'marked:' .. p, 'at:' .. p, 'over:' .. p)
if state[1] ~= ARGV[1] then
  return redis.error_reply('DEVLOGSREPLACED the queue is another one')
end
local last = tonumber(state[2] or '0')
local first = math.max(last, tonumber(state[3] or '0'))
if first > last then
  redis.call('HSET', meta, 'gap:' .. p, string.format('%.0f %.0f', last, first))
end
local over = {}
for position in string.gmatch(state[7] or '', '%S+') do over[#over + 1] = position end
for class = #over + 1, 7 do over[class] = string.format('%.0f', first - 1) end
local before = tonumber(state[4] or '0')
local count = (#ARGV - 3) / 8
local bytes, place = before, first
for i = 4, #ARGV, 8 do
  local size = #ARGV[i] + #ARGV[i + 7] + 64
  local class, limit = 1, 1024
  while class <= 7 and size > limit do
    over[class] = string.format('%.0f', place)
    class, limit = class + 1, limit * 4
  end
  bytes, place = bytes + size, place + 1
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('HSET', meta, 'next:' .. p, string.format('%.0f', first + count),
  'bytes:' .. p, string.format('%.0f', bytes), 'at:' .. p, string.format('%.0f', now),
  'over:' .. p, table.concat(over, ' '))
local marked_bytes, marked_at = string.match(state[5] or '', '^(%d+) (%d+)$')
if not marked_bytes or before - tonumber(marked_bytes) >= tonumber(ARGV[3]) or now - tonumber(marked_at) >= 60000 then
  local mark = string.format('%.0f', first)
  redis.call('ZADD', marks, mark, mark .. string.format(' %.0f %.0f', now, before))
  redis.call('HSET', meta, 'marked:' .. p, string.format('%.0f %.0f', before, now))
end
local at = first
for i = 4, #ARGV, 8 do
  redis.call('XADD', stream, string.format('%.0f-1', at), 'project', ARGV[i], 'received', ARGV[i + 1],
    'records', ARGV[i + 2], 'key', ARGV[i + 3], 'body', ARGV[i + 4], 'retry', ARGV[i + 5], 'part', ARGV[i + 6],
    'payload', ARGV[i + 7])
  at = at + 1
end
return first",
    )
});

/// KEYS meta, stream. ARGV: incarnation, from, most bytes, most messages, partition.
/// Answers next, low, and the entries. Each entry is copied into the script and out of it, which costs Redis five to eight
/// times what reading without a script does: it is for messages of which nobody knows how large they are.
pub(crate) static READ: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"#!lua flags=no-writes
local state = redis.call('HMGET', KEYS[1], 'incarnation', 'next:' .. ARGV[5], 'low:' .. ARGV[5])
if state[1] ~= ARGV[1] then
  return redis.error_reply('DEVLOGSREPLACED the queue is another one')
end
local from, bytes_max, count_max = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local entries, bytes = {}, 0
while #entries < count_max do
  local want = 1
  if #entries > 0 then
    want = math.floor((bytes_max - bytes) / (bytes / #entries))
    if want < 1 then break end
    want = math.min(want, 64, count_max - #entries)
  end
  local some = redis.call('XRANGE', KEYS[2], from, '+', 'COUNT', want)
  for _, entry in ipairs(some) do
    local fields, size = entry[2], 64
    for i = 2, #fields, 2 do size = size + #fields[i] end
    if #entries > 0 and bytes + size > bytes_max then
      return {state[2] or '0', state[3] or '0', entries}
    end
    entries[#entries + 1] = entry
    bytes = bytes + size
  end
  if #some < want then break end
  from = '(' .. entries[#entries][1]
end
return {state[2] or '0', state[3] or '0', entries}",
    )
});

/// KEYS meta, stream, marks. ARGV: incarnation, partition.
/// Answers next, low, the id of the first entry or an empty text, bytes kept, and the last gap as two positions.
pub(crate) static STATE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"#!lua flags=no-writes
local p = ARGV[2]
local state = redis.call('HMGET', KEYS[1], 'incarnation', 'next:' .. p, 'low:' .. p, 'bytes:' .. p, 'gone:' .. p, 'gap:' .. p)
if state[1] ~= ARGV[1] then
  return redis.error_reply('DEVLOGSREPLACED the queue is another one')
end
local first = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)
local id = ''
if first[1] then id = first[1][1] end
local kept = tonumber(state[4] or '0') - tonumber(state[5] or '0')
return {state[2] or '0', state[3] or '0', id, string.format('%.0f', kept), state[6] or '0 0'}",
    )
});

/// KEYS meta, groups, committed, leases. ARGV: incarnation, group, partition, next, epoch of the lease or an empty text.
pub(crate) static COMMIT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"#!lua flags=allow-oom
if redis.call('HGET', KEYS[1], 'incarnation') ~= ARGV[1] then
  return redis.error_reply('DEVLOGSREPLACED the queue is another one')
end
if ARGV[5] ~= '' and redis.call('HGET', KEYS[4], 'epoch:' .. ARGV[3]) ~= ARGV[5] then
  return redis.error_reply('DEVLOGSFENCED another member of the group reads the partition')
end
local next_position = tonumber(ARGV[4])
local last = redis.call('HGET', KEYS[1], 'next:' .. ARGV[3]) or '0'
if next_position > tonumber(last) then
  return redis.error_reply('DEVLOGSBEYOND ' .. last)
end
redis.call('SADD', KEYS[2], ARGV[2])
local field = ARGV[2] .. '/' .. ARGV[3]
local committed = redis.call('HGET', KEYS[3], field)
if not committed or tonumber(committed) < next_position then
  redis.call('HSET', KEYS[3], field, ARGV[4])
end
return 1",
    )
});

/// KEYS meta, stream, marks, groups, committed. ARGV: incarnation, partition, most bytes, most age in ms or -1.
/// Answers next, bytes kept, bytes that some group has not passed, entries deleted, the last gap; then each group and its
/// position.
///
/// Deletes whole stretches between marks, only below what every group has passed, and a bounded number at a time.
pub(crate) static TRIM: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"#!lua flags=allow-oom
local meta, stream, marks, p = KEYS[1], KEYS[2], KEYS[3], ARGV[2]
local state = redis.call('HMGET', meta, 'incarnation', 'next:' .. p, 'bytes:' .. p, 'gone:' .. p, 'at:' .. p, 'low:' .. p, 'gap:' .. p)
if state[1] ~= ARGV[1] then
  return redis.error_reply('DEVLOGSREPLACED the queue is another one')
end
local next_position, total = tonumber(state[2] or '0'), tonumber(state[3] or '0')
local gone, low = tonumber(state[4] or '0'), tonumber(state[6] or '0')
local answer, passed = {}, nil
for _, group in ipairs(redis.call('SMEMBERS', KEYS[4])) do
  local committed = tonumber(redis.call('HGET', KEYS[5], group .. '/' .. p) or '0')
  passed = math.min(passed or committed, committed)
  answer[#answer + 1] = group
  answer[#answer + 1] = string.format('%.0f', committed)
end
passed = passed or 0
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local bytes_max, age_max = tonumber(ARGV[3]), tonumber(ARGV[4])
local places = {}
for _, mark in ipairs(redis.call('ZRANGE', marks, 0, -1)) do
  local position, at, before = string.match(mark, '^(%d+) (%d+) (%d+)$')
  places[#places + 1] = {tonumber(position), tonumber(at), tonumber(before)}
end
if next_position > 0 then
  places[#places + 1] = {next_position, tonumber(state[5] or '0'), total}
end
local target, gone_then, passed_bytes, stretches = nil, gone, gone, 0
for _, place in ipairs(places) do
  if place[1] > passed then break end
  passed_bytes = place[3]
  local old = age_max >= 0 and now - place[2] > age_max
  if place[1] > low and stretches < 16 and (old or total - gone_then > bytes_max) then
    target, gone_then, stretches = place[1], place[3], stretches + 1
  end
end
local deleted = 0
if target then
  deleted = redis.call('XTRIM', stream, 'MINID', '=', string.format('%.0f-0', target))
  redis.call('ZREMRANGEBYSCORE', marks, '-inf', string.format('(%.0f', target))
  redis.call('HSET', meta, 'low:' .. p, string.format('%.0f', target), 'gone:' .. p, string.format('%.0f', gone_then))
  gone = gone_then
end
local head = {string.format('%.0f', next_position), string.format('%.0f', total - gone),
  string.format('%.0f', total - math.max(passed_bytes, gone)), deleted, state[7] or '0 0'}
for _, value in ipairs(answer) do head[#head + 1] = value end
return head",
    )
});

/// KEYS meta, groups, members, leases. ARGV: incarnation, group, member, lease in ms; then partitions to give back.
/// Answers partitions, the member's fair share, then partition and epoch of each that it holds.
///
/// Each partition has one owner until its lease ends. Every new lease has a higher epoch than the one before.
pub(crate) static BEAT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"#!lua flags=allow-oom
local meta, members, leases, member = KEYS[1], KEYS[3], KEYS[4], ARGV[3]
local state = redis.call('HMGET', meta, 'incarnation', 'partitions')
if state[1] ~= ARGV[1] then
  return redis.error_reply('DEVLOGSREPLACED the queue is another one')
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local until_then = string.format('%.0f', now + tonumber(ARGV[4]))
redis.call('SADD', KEYS[2], ARGV[2])
redis.call('ZREMRANGEBYSCORE', members, '-inf', string.format('(%.0f', now))
redis.call('ZADD', members, until_then, member)
local flat, held = redis.call('HGETALL', leases), {}
for i = 1, #flat, 2 do held[flat[i]] = flat[i + 1] end
for i = 5, #ARGV do
  if held['owner:' .. ARGV[i]] == member then
    redis.call('HDEL', leases, 'owner:' .. ARGV[i], 'until:' .. ARGV[i])
    held['owner:' .. ARGV[i]] = nil
  end
end
local names = redis.call('ZRANGE', members, 0, -1)
table.sort(names)
local partitions, share = tonumber(state[2]), 0
for rank, name in ipairs(names) do
  if name == member then
    share = math.floor(partitions / #names)
    if rank <= partitions % #names then share = share + 1 end
  end
end
local answer, mine, free = {partitions, share}, 0, {}
for partition = 0, partitions - 1 do
  local owner = held['owner:' .. partition]
  local alive = owner and tonumber(held['until:' .. partition]) >= now
  if not alive then
    free[#free + 1] = partition
  elseif owner == member then
    redis.call('HSET', leases, 'until:' .. partition, until_then)
    mine = mine + 1
    answer[#answer + 1] = partition
    answer[#answer + 1] = tonumber(held['epoch:' .. partition])
  end
end
for _, partition in ipairs(free) do
  if mine >= share then break end
  local epoch = redis.call('HINCRBY', leases, 'epoch:' .. partition, 1)
  redis.call('HSET', leases, 'owner:' .. partition, member, 'until:' .. partition, until_then)
  mine = mine + 1
  answer[#answer + 1] = partition
  answer[#answer + 1] = epoch
end
return answer",
    )
});

/// KEYS members, leases. ARGV: member. Its partitions are free at once.
pub(crate) static LEAVE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"#!lua flags=allow-oom
redis.call('ZREM', KEYS[1], ARGV[1])
local flat = redis.call('HGETALL', KEYS[2])
for i = 1, #flat, 2 do
  local partition = string.match(flat[i], '^owner:(%d+)$')
  if partition and flat[i + 1] == ARGV[1] then
    redis.call('HDEL', KEYS[2], flat[i], 'until:' .. partition)
  end
end
return 1",
    )
});

/// All of them: loaded into Redis by every new connection, so that calls need only their hash.
pub(crate) fn all() -> [&'static Script; 8] {
    [&GREET, &APPEND, &READ, &STATE, &COMMIT, &TRIM, &BEAT, &LEAVE]
}
