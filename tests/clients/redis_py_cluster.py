"""Calls of a program that uses redis-py in cluster mode, until a file appears.

Arguments: host, port, file. Errors of a connection are retried, as a proxy is killed meanwhile.
"""

import os
import sys
import time

import redis
from redis.cluster import RedisCluster

host, port, stop = sys.argv[1], int(sys.argv[2]), sys.argv[3]
AGAIN = (
    redis.exceptions.ConnectionError,
    redis.exceptions.TimeoutError,
    redis.exceptions.RedisClusterException,
    OSError,
)


def again(what):
    """The result of `what`, which is tried again for half a minute."""
    end = time.monotonic() + 30
    while True:
        try:
            return what()
        except AGAIN:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


r = again(lambda: RedisCluster(host=host, port=port, socket_timeout=5))
assert len(r.get_nodes()) == 2, r.get_nodes()
prefix = "redis-py-cluster:"
for n in range(300):
    assert r.set(f"{prefix}{n}", n) is True
for n in range(300):
    assert r.get(f"{prefix}{n}") == str(n).encode()
assert r.mget(f"{prefix}{{a}}1", f"{prefix}{{a}}2") == [None, None]
with r.pipeline() as pipe:
    for n in range(100):
        pipe.get(f"{prefix}{n}")
    assert pipe.execute() == [str(n).encode() for n in range(100)]
assert r.cluster_keyslot("foo") == 12182
assert r.cluster_info()["cluster_state"] == "ok"
again(lambda: r.set(prefix + "ready", 1))

rounds = 0
while not os.path.exists(stop):
    for n in range(50):
        # A set may be sent twice: it is the same.
        assert again(lambda: r.set(f"{prefix}{n}", rounds)) is True
        value = again(lambda: r.get(f"{prefix}{n}"))
        assert value == str(rounds).encode(), (n, value, rounds)
    rounds += 1
assert rounds > 0
print("ok")
