// ioredis over TLS. Arguments: port, the authority's certificate, a client's certificate and key.
const assert = require("node:assert");
const fs = require("node:fs");
const Redis = require("ioredis");

const [port, ca, cert, key] = process.argv.slice(2);
const read = (file) => fs.readFileSync(file);

async function main() {
  const tls = { ca: read(ca), cert: read(cert), key: read(key) };
  const redis = new Redis({ host: "127.0.0.1", port: Number(port), tls, maxRetriesPerRequest: 1 });
  redis.on("error", (error) => console.error(error));
  assert.equal(await redis.ping(), "PONG");
  const value = Buffer.alloc(900000, 7);
  assert.equal(await redis.set("tls:js", value), "OK");
  assert.ok(value.equals(await redis.getBuffer("tls:js")));
  const many = await Promise.all(Array.from({ length: 300 }, () => redis.incr("tls:js:count")));
  assert.deepEqual(many, Array.from({ length: 300 }, (_, n) => n + 1));
  await redis.quit();
  const other = new Redis({ host: "127.0.0.1", port: Number(port), tls: {}, lazyConnect: true,
    retryStrategy: null });
  other.on("error", () => {});
  await assert.rejects(other.connect());
  console.log("ok");
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
