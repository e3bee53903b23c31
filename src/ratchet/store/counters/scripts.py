"""What runs inside Redis or Valkey: each script is one atomic round trip.

Lua's numbers hold 53 bits, and nanoseconds since the epoch need 61: a moment is kept as whole seconds and the rest,
and only differences are computed, which are below 104 days. The server's clock is the one clock of all gateways.
"""

from __future__ import annotations

import hashlib

import msgspec

__all__ = ["ADMIT", "NOTE", "SETTLE", "TALLY", "Script"]


class Script(msgspec.Struct, frozen=True):
    """A script and the name the server knows it by."""

    text: bytes
    sha: bytes


def _script(text: str) -> Script:
    code = (_CLOCK + text).encode()
    return Script(code, hashlib.sha1(code, usedforsecurity=False).hexdigest().encode())


_CLOCK = """
local function clock(told)
  if told ~= '' then return tonumber(string.sub(told, 1, -10)), tonumber(string.sub(told, -9)) end
  local time = redis.call('TIME')
  return tonumber(time[1]), tonumber(time[2]) * 1000
end
local longest = 9007199254740991
"""

_KEEPING = """
local seconds, rest = clock(ARGV[1])
local milliseconds = seconds * 1000 + math.floor(rest / 1000000)
-- how far ahead of now a bucket's moment lies, below zero where it has passed
local function ahead(key)
  local moment = redis.call('GET', key)
  if not moment then return 0 end
  return (tonumber(string.sub(moment, 1, -10)) - seconds) * 1000000000 + tonumber(string.sub(moment, -9)) - rest
end
local function keep_rate(key, level)
  if level <= 0 then return redis.call('DEL', key) end
  -- kept a little longer than it says anything, so that it never goes before its time
  local part = rest + level % 1000000000
  local whole = seconds + math.floor(level / 1000000000)
  if part >= 1000000000 then whole, part = whole + 1, part - 1000000000 end
  redis.call('SET', key, string.format('%d%09d', whole, part), 'PX', math.ceil(level / 1000000) + 5000)
end
"""

# KEYS: the grant's mark, then one for each ask. ARGV: the time (or ''), the mark's lifetime in ms, the grant's id,
# then for each ask its kind, amount, limit, lifetime in ms, when it expires, and the least that must be left. Answers the
# index of the ask in the way (from 0, or -1), its wait, and the levels (of a refusal: of that ask alone, and what of a
# budget is spent), followed by all amounts where one is not what was asked for. The mark holds that, so that asking again
# after a broken connection takes nothing twice.
ADMIT = _script(
    _KEEPING
    + """
local before = redis.call('GET', KEYS[1])
if before then return {-1, 0, before} end
local levels, amounts, in_part, refused, longest_wait = {}, {}, false, -1, -1
for i = 2, #KEYS do
  local at = (i - 2) * 6 + 4
  local kind, amount, limit = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local level, wait
  if kind == 'r' then
    level = math.max(ahead(KEYS[i]), 0) + amount
    wait = level - limit
  elseif kind == 'b' then
    local held = tonumber(redis.call('HGET', KEYS[i], 'held') or 0)
    level = held + amount
    wait = 0
    if level > limit then
      local kept = redis.call('HMGET', KEYS[i], 'spent', 'last')
      local spent = tonumber(kept[1] or 0)
      if spent < held and milliseconds - tonumber(kept[2] or milliseconds) > tonumber(ARGV[at + 3]) then
        spent = held  -- who reserved it has died
        redis.call('HSET', KEYS[i], 'spent', string.format('%d', spent))
      end
      if spent == held and limit - held >= tonumber(ARGV[at + 5]) then
        amount, level, in_part = limit - held, limit, true
      end
    end
  else
    redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', milliseconds)
    level = redis.call('ZCARD', KEYS[i]) + amount
    wait = 0
  end
  if level > limit then
    level = level - amount
    if wait > longest_wait then refused, longest_wait = i - 2, wait end
  end
  levels[i - 1], amounts[i - 1] = string.format('%d', level), string.format('%d', amount)
end
if refused >= 0 then
  local spent = '0'
  if ARGV[refused * 6 + 4] == 'b' then spent = redis.call('HGET', KEYS[refused + 2], 'spent') or '0' end
  return {refused, longest_wait, levels[refused + 1] .. ' ' .. spent}
end
for i = 2, #KEYS do
  local at = (i - 2) * 6 + 4
  local kind, lifetime = ARGV[at], tonumber(ARGV[at + 3])
  if kind == 'r' then
    keep_rate(KEYS[i], tonumber(levels[i - 1]))
  elseif kind == 'l' then
    redis.call('ZADD', KEYS[i], milliseconds + lifetime, ARGV[3])
    redis.call('PEXPIRE', KEYS[i], lifetime)
  else
    redis.call('HINCRBY', KEYS[i], 'held', amounts[i - 1])
    redis.call('HSET', KEYS[i], 'last', string.format('%d', milliseconds))
    redis.call('PEXPIREAT', KEYS[i], ARGV[at + 4])
  end
end
local said = table.concat(levels, ' ')
if in_part then said = said .. ' ' .. table.concat(amounts, ' ') end
redis.call('SET', KEYS[1], said, 'PX', ARGV[2])
return {-1, 0, said}
"""
)

# KEYS as above. ARGV: the time (or ''), the grant's id, then for each ask its kind, and by how much what was used
# differs from what was asked for, and of a budget what was used. Answers the levels. Whoever settles twice changes
# nothing the second time: the mark is gone.
SETTLE = _script(
    _KEEPING
    + """
local first = redis.call('DEL', KEYS[1]) == 1
local levels = {}
for i = 2, #KEYS do
  local at = (i - 2) * 3 + 3
  local kind, more = ARGV[at], tonumber(ARGV[at + 1])
  local level
  if kind == 'r' then
    level = ahead(KEYS[i])
    if first and more ~= 0 then
      if more > 0 then level = math.min(math.max(level, 0) + more, longest) else level = level + more end
      keep_rate(KEYS[i], level)
    end
    level = math.max(level, 0)
  elseif kind == 'b' then
    if first and redis.call('EXISTS', KEYS[i]) == 1 then
      local held = redis.call('HINCRBY', KEYS[i], 'held', ARGV[at + 1])
      local spent = redis.call('HINCRBY', KEYS[i], 'spent', ARGV[at + 2])
      -- it had been taken for dead, and comes after all
      if spent > held then redis.call('HSET', KEYS[i], 'spent', string.format('%d', held)) end
    end
    level = tonumber(redis.call('HGET', KEYS[i], 'spent') or 0)
  else
    redis.call('ZREM', KEYS[i], ARGV[2])
    level = redis.call('ZCARD', KEYS[i])
  end
  levels[i - 1] = string.format('%d', level)
end
return table.concat(levels, ' ')
"""
)

# KEYS: the tally. ARGV: the time (or ''), good, bad, the half-life in seconds, and for how many ms it is kept, or ''
# where it is only read. Answers good, bad, and when it was first and last added to, in µs; or nothing.
TALLY = _script(
    """
local seconds, rest = clock(ARGV[1])
local now = seconds * 1000000 + math.floor(rest / 1000)
local kept = redis.call('HMGET', KEYS[1], 'good', 'bad', 'first', 'last')
local good, bad, first, last = 0, 0, now, now
if kept[1] then
  first, last = tonumber(kept[3]), tonumber(kept[4])
  local left = 0.5 ^ (math.max(now - last, 0) / 1000000 / tonumber(ARGV[4]))
  good, bad = tonumber(kept[1]) * left, tonumber(kept[2]) * left
elseif ARGV[5] == '' then
  return false
end
if ARGV[5] ~= '' then
  good, bad, last = good + tonumber(ARGV[2]), bad + tonumber(ARGV[3]), now
  redis.call('HSET', KEYS[1], 'good', string.format('%.17g', good), 'bad', string.format('%.17g', bad),
    'first', string.format('%d', first), 'last', string.format('%d', last))
  redis.call('PEXPIRE', KEYS[1], ARGV[5])
end
return {string.format('%.17g', good), string.format('%.17g', bad), string.format('%d', first), string.format('%d', last)}
"""
)

# KEYS: the set. ARGV: the time (or ''), the member, for how many ms it is kept, the most that are counted.
NOTE = _script(
    """
local seconds, rest = clock(ARGV[1])
local now = seconds * 1000 + math.floor(rest / 1000000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local count = redis.call('ZCARD', KEYS[1])
if count < tonumber(ARGV[4]) or redis.call('ZSCORE', KEYS[1], ARGV[2]) then
  count = count + redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return count
"""
)
