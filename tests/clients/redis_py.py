"""Calls of a program that uses redis-py, over both protocols. Arguments: host, port, protocol."""

import sys

import redis

host, port, protocol = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
r = redis.Redis(host=host, port=port, protocol=protocol)
prefix = f"redis-py:{protocol}:"


def key(name):
    return prefix + name


assert r.ping() is True
assert r.set(key("a"), "1") is True
assert r.get(key("a")) == b"1"
assert r.get(key("absent")) is None
assert r.incr(key("a"), 41) == 42
assert r.set(key("a"), "2", nx=True) is None
assert r.set(key("lock"), "me", nx=True, ex=1000) is True
assert 0 < r.ttl(key("lock")) <= 1000
assert r.set(key("lock"), "you", get=True, keepttl=True) == b"me"
assert r.mset({key("m1"): "x", key("m2"): "y"}) is True
assert r.mget([key("m1"), key("absent"), key("m2")]) == [b"x", None, b"y"]
assert r.append(key("m1"), "yz") == 3
assert r.getrange(key("m1"), 1, 2) == b"yz"
assert r.incrbyfloat(key("f"), 0.5) == 0.5
binary = bytes(range(256)) * 400
assert r.set(key("binary"), binary) and r.get(key("binary")) == binary

with r.pipeline(transaction=False) as pipe:
    for n in range(500):
        pipe.set(key(f"p{n}"), n)
    for n in range(500):
        pipe.get(key(f"p{n}"))
    replies = pipe.execute()
assert replies[:500] == [True] * 500
assert replies[500:] == [str(n).encode() for n in range(500)]

with r.pipeline(transaction=True) as pipe:
    pipe.watch(key("a"))
    before = int(pipe.get(key("a")))
    pipe.multi()
    pipe.set(key("a"), before + 1)
    pipe.get(key("a"))
    assert pipe.execute() == [True, str(before + 1).encode()]

with r.pipeline(transaction=True) as pipe:
    pipe.watch(key("a"))
    r.set(key("a"), "changed by another")
    pipe.multi()
    pipe.set(key("a"), "mine")
    try:
        pipe.execute()
        raise AssertionError("a watched key changed and EXEC went through")
    except redis.WatchError:
        pass
assert r.get(key("a")) == b"changed by another"

try:
    r.incr(key("a"))
    raise AssertionError("INCR of text went through")
except redis.ResponseError as error:
    assert "not an integer" in str(error), error

found = set(r.scan_iter(match=prefix + "p*", count=100))
assert found == {key(f"p{n}").encode() for n in range(500)}, len(found)

# A page ends between keys that only differ after the fiftieth byte.
family = key("a-family-of-keys-with-a-long-beginning-in-common:")
r.mset({f"{family}{n}": n for n in range(500)})
found_long = list(r.scan_iter(match=family + "*", count=7))
assert len(found_long) == len(set(found_long)) == 500, len(found_long)
assert r.delete(*found_long) == 500
assert r.exists(key("a"), key("m1"), key("absent")) == 2
assert r.delete(*found) == 500
assert r.dbsize() >= 1
assert r.info()["redis_version"]

other = redis.Redis(host=host, port=port, db=1, protocol=protocol, decode_responses=True)
assert other.get(key("a")) is None
assert other.set(key("a"), "é") and other.get(key("a")) == "é"
print("ok")
