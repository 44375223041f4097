// The calls of an application that uses ioredis in cluster mode, until a key appears. Arguments:
// host, port. Commands are sent again while a proxy is killed.
const assert = require("node:assert");
const Redis = require("ioredis");

const [host, port] = process.argv.slice(2);
const key = (name) => `ioredis-cluster:${name}`;

async function main() {
  const cluster = new Redis.Cluster([{ host, port: Number(port) }], {
    clusterRetryStrategy: () => 100,
    redisOptions: { connectTimeout: 2000, maxRetriesPerRequest: 1 },
  });
  cluster.on("error", () => {});
  const again = async (what) => {
    const end = Date.now() + 30000;
    for (;;) {
      try {
        return await what();
      } catch (error) {
        if (Date.now() > end) throw error;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  };

  for (let n = 0; n < 300; n++) assert.equal(await cluster.set(key(n), n), "OK");
  for (let n = 0; n < 300; n++) assert.equal(await cluster.get(key(n)), String(n));
  assert.equal(cluster.nodes("master").length, 2);
  assert.deepEqual(await cluster.mget(key("{a}1"), key("{a}2")), [null, null]);
  await again(() => cluster.set(key("ready"), 1));

  let rounds = 0;
  while ((await again(() => cluster.get(key("killed")))) === null) {
    for (let n = 0; n < 50; n++) {
      assert.equal(await again(() => cluster.set(key(n), rounds)), "OK");
      assert.equal(await again(() => cluster.get(key(n))), String(rounds));
    }
    rounds++;
  }
  for (let n = 0; n < 300; n++) assert.equal(await again(() => cluster.set(key(n), "end")), "OK");
  console.log("ok");
  cluster.disconnect();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
