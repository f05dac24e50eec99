"""What Redis does in one step, in its Lua; times in milliseconds."""

from typing import Final

BEGIN: Final = """
local taken = redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2])
for i = 3, #KEYS do
  if not redis.call('SET', KEYS[i], ARGV[1], 'NX', 'PX', ARGV[3])
    and redis.call('PTTL', KEYS[i]) < tonumber(ARGV[3]) then
    redis.call('PEXPIRE', KEYS[i], ARGV[3])
  end
end
return {taken and 1 or 0, redis.call('MGET', unpack(KEYS))}
"""
"""Takes the lock if it is free, sets the marks that are missing, returns whether and what is there.

KEYS: value, lock, mark of the key, marks of the tags. ARGV: token, lives of the lock and the marks.
"""

WRITE: Final = """
if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
for i = 3, #KEYS do
  if redis.call('GET', KEYS[i]) ~= ARGV[i + 1] then return 0 end
end
for i = 4, #KEYS do
  if redis.call('PTTL', KEYS[i]) < tonumber(ARGV[3]) then
    redis.call('PEXPIRE', KEYS[i], ARGV[3])
  end
end
redis.call('DEL', KEYS[3])
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
"""
"""Keeps a value if all marks are those of the beginning, and gives the lock back.

KEYS as above. ARGV: token, value, its life, and the marks as they were at the beginning.
"""

ABANDON: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""
"""Gives the lock back, if it is still the one that was taken. KEYS: lock. ARGV: token."""
