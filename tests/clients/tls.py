"""redis-py over TLS. Arguments: port, the authority's certificate, a client's certificate and key."""

import sys

import redis

port, ca, cert, key = int(sys.argv[1]), *sys.argv[2:5]


def connect(**more):
    return redis.Redis(host="127.0.0.1", port=port, ssl=True, ssl_ca_certs=ca, **more)


r = connect(ssl_certfile=cert, ssl_keyfile=key)
assert r.ping() is True
value = bytes(range(256)) * 4000
assert r.set("tls:py", value) and r.get("tls:py") == value
with r.pipeline(transaction=False) as pipe:
    for n in range(2000):
        pipe.set(f"tls:py:{n}", n)
    assert pipe.execute() == [True] * 2000

try:
    connect().ping()
except redis.exceptions.ConnectionError:
    pass
else:
    raise AssertionError("served without a certificate")
try:
    redis.Redis(host="127.0.0.1", port=port, ssl=True, ssl_certfile=cert, ssl_keyfile=key).ping()
except redis.exceptions.ConnectionError as error:
    assert "certificate verify failed" in str(error), error
else:
    raise AssertionError("an unknown authority was trusted")
print("ok")
