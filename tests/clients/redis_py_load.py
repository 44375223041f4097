"""An application on redis-py with its default settings that works until a file appears. Every error
ends it. Arguments: host, port, a prefix of its own for its keys, the path of that file.

It writes and reads keys of its own, so that it knows the value of each. With the default settings
redis-py opens a broken connection again and repeats the command; the commands here may be repeated.
"""

import os
import sys
import time

import redis

host, port, prefix, stop = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
r = redis.Redis(host=host, port=port)
done, worst = 0, 0.0


def timed(call):
    global done, worst
    began = time.monotonic()
    result = call()
    worst = max(worst, time.monotonic() - began)
    done += 1
    return result


def key(n):
    # The first characters vary, so that the keys spread over ranges.
    return f"{n * 7 % 256:02x}:{prefix}:{n % 40}"


n, held = 0, {}
while not os.path.exists(stop):
    n += 1
    # Tests wait for this counter to rise.
    r.set(f"{prefix}:beat", n)
    name, value = key(n % 200), str(n).encode()
    assert timed(lambda: r.set(name, value)) is True
    held[name] = value
    probe = key((n * 13) % 200)
    found = timed(lambda: r.get(probe))
    assert found == held.get(probe), (probe, found, held.get(probe))
    if n % 20 == 0:
        with r.pipeline(transaction=False) as pipe:
            for known in list(held)[:20]:
                pipe.get(known)
            found = timed(pipe.execute)
        assert found == list(held.values())[:20], found

for name, value in held.items():
    assert r.get(name) == value, name
assert done > 0
print(f"ok: {done} calls, worst pause {worst * 1000:.1f} ms")
