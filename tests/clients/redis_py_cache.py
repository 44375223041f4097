"""redis-py with its client-side cache: what it keeps is never old for long, and costs no call.
Arguments: host and port of the proxy it reads from, host and port of the proxy that is written to.
"""

import sys
import time

import redis
from redis.cache import CacheConfig
from redis.connection import CacheProxyConnection

# redis-py asks for the version 7.4, although servers have what it needs since 6.0.
CacheProxyConnection.MIN_ALLOWED_VERSION = "6.0.0"

host, port, other_host, other_port = sys.argv[1:5]
r = redis.Redis(host=host, port=int(port), protocol=3, cache_config=CacheConfig())
other = redis.Redis(host=other_host, port=int(other_port))


def soon(read, value):
    end = time.monotonic() + 10
    while read() != value:
        assert time.monotonic() < end, f"{read()} is kept, {value} is there"
        time.sleep(0.001)


other.set("cache:a", "1")
assert r.get("cache:a") == b"1"
assert r.get_cache().size == 1
for number in range(100):
    other.set("cache:a", number)
    soon(lambda: r.get("cache:a"), str(number).encode())
before = r.info("stats")["total_commands_processed"]
for _ in range(500):
    assert r.get("cache:a") == b"99"
after = r.info("stats")["total_commands_processed"]
assert after - before < 100, f"{after - before} calls for 500 reads"
other.mset({"cache:m1": "1", "cache:m2": "2"})
assert r.mget("cache:m1", "cache:m2") == [b"1", b"2"]
other.delete("cache:m2")
soon(lambda: r.mget("cache:m1", "cache:m2"), [b"1", None])
other.flushall()
soon(lambda: r.get("cache:a"), None)
print("ok")
