// The calls that an application makes with ioredis. Arguments: host, port.
const assert = require("node:assert");
const Redis = require("ioredis");

const [host, port] = process.argv.slice(2);
const key = (name) => `ioredis:${name}`;

async function main() {
  const redis = new Redis({ host, port: Number(port), maxRetriesPerRequest: 1 });
  // Without a listener an error would end the process and not name the call in flight.
  redis.on("error", (error) => console.error(error));

  assert.equal(await redis.ping(), "PONG");
  assert.equal(await redis.set(key("a"), "1"), "OK");
  assert.equal(await redis.get(key("a")), "1");
  assert.equal(await redis.get(key("absent")), null);
  assert.equal(await redis.incrby(key("a"), 41), 42);
  assert.equal(await redis.set(key("lock"), "me", "EX", 1000, "NX"), "OK");
  assert.equal(await redis.set(key("lock"), "you", "EX", 1000, "NX"), null);
  assert.ok((await redis.ttl(key("lock"))) > 0);
  assert.equal(await redis.mset(key("m1"), "x", key("m2"), "y"), "OK");
  assert.deepEqual(await redis.mget(key("m1"), key("absent"), key("m2")), ["x", null, "y"]);

  const binary = Buffer.from(Array.from({ length: 100000 }, (_, n) => n % 256));
  await redis.set(key("binary"), binary);
  assert.ok(binary.equals(await redis.getBuffer(key("binary"))));

  const pipeline = redis.pipeline();
  for (let n = 0; n < 500; n++) pipeline.set(key(`p${n}`), n);
  for (let n = 0; n < 500; n++) pipeline.get(key(`p${n}`));
  const replies = await pipeline.exec();
  replies.forEach(([error, reply], n) => {
    assert.equal(error, null);
    assert.equal(reply, n < 500 ? "OK" : String(n - 500));
  });

  const many = await Promise.all(Array.from({ length: 300 }, () => redis.incr(key("count"))));
  assert.deepEqual(many, Array.from({ length: 300 }, (_, n) => n + 1));

  const done = await redis.multi().set(key("t"), "1").incr(key("t")).get(key("t")).exec();
  assert.deepEqual(done, [[null, "OK"], [null, 2], [null, "2"]]);

  await redis.set(key("text"), "abc");
  await assert.rejects(redis.incr(key("text")), /not an integer/);

  const found = new Set();
  for await (const keys of redis.scanStream({ match: key("p*"), count: 100 })) {
    keys.forEach((name) => found.add(name));
  }
  assert.equal(found.size, 500);

  // A page ends between keys that only differ after the fiftieth byte.
  const family = key("a-family-of-keys-with-a-long-beginning-in-common:");
  await redis.mset(...Array.from({ length: 500 }, (_, n) => [family + n, "x"]).flat());
  const long = [];
  for await (const keys of redis.scanStream({ match: family + "*", count: 7 })) {
    long.push(...keys);
  }
  assert.deepEqual([long.length, new Set(long).size], [500, 500]);
  assert.equal(await redis.del(...long), 500);
  assert.equal(await redis.del(...found), 500);
  assert.equal(await redis.quit(), "OK");
  console.log("ok");
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
