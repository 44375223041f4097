//! Scripts and functions beside those of a redis-server: their replies, and their rate.

use std::thread::spawn;
use std::time::{Duration, Instant};

use anyhow::ensure;
use coterie_tests::cluster::Cluster;
use coterie_tests::connection::Connection;
use coterie_tests::redis_server::{self, RedisServer};
use coterie_tests::resp::Reply;
use coterie_tests::wait;

/// Time limit for steps that a healthy cluster takes within seconds, even on a busy machine.
const WITHIN: Duration = Duration::from_secs(120);

/// A rate limiter of five calls: counts, and returns its count.
const LIMITER: &str = "\
local n = redis.call('incr', KEYS[1])
local kept = redis.call('exists', KEYS[2])
redis.call('rpush', KEYS[2], n)
redis.call('expire', KEYS[1], ARGV[1])
if redis.call('ttl', KEYS[1]) < 0 then return redis.error_reply('no deadline') end
return n";

fn connect(addr: &str) -> Connection {
    Connection::open(addr, WITHIN).expect("connects")
}

const LIBRARY: &str = "#!lua name=lib
redis.register_function('add', function(keys, args)
  return redis.call('incrby', keys[1], args[1])
end)
redis.register_function{function_name='show', description='d', flags={'no-writes'},
  callback=function(keys) return redis.call('get', keys[1]) end}";

/// Commands whose replies are those of a Redis, byte by byte.
const ALIKE: &[&[&str]] = &[
    &["EVAL", "return 1", "0"],
    &["EVAL", "return {1, 2, {3, 'four'}, 5.7, nil, 6}", "0"],
    &[
        "EVAL",
        "return {KEYS[1], KEYS[2], ARGV[1], #ARGV}",
        "2",
        "a",
        "b",
        "c",
        "d",
    ],
    &[
        "EVAL",
        "return redis.call('set', KEYS[1], ARGV[1])",
        "1",
        "k",
        "v",
    ],
    &["EVAL", "return redis.call('get', KEYS[1])", "1", "k"],
    &["EVAL", "return redis.call('get', 'absent')", "0"],
    &["EVAL", "return redis.call('lpush', KEYS[1], 1)", "1", "k"],
    &["EVAL", "return redis.pcall('lpush', KEYS[1], 1)", "1", "k"],
    &["EVAL", "local r = redis.pcall('nope') return r.err", "0"],
    &["EVAL", "return redis.call('get')", "0"],
    &["EVAL", "return redis.call('nope')", "0"],
    &["EVAL", "return redis.call('eval', 'return 1', 0)", "0"],
    &[
        "EVAL",
        "redis.call('rpush', KEYS[1], 'a', 'b') return redis.call('lrange', KEYS[1], 0, -1)",
        "1",
        "l",
    ],
    &["EVAL", "return redis.call('hgetall', KEYS[1])", "1", "h"],
    &[
        "EVAL",
        "redis.call('hset', KEYS[1], 'f', 1) redis.setresp(3) \
        return redis.call('hgetall', KEYS[1])",
        "1",
        "h",
    ],
    &["EVAL", "return redis.error_reply('MY error')", "0"],
    &["EVAL", "return redis.status_reply('FINE')", "0"],
    &["EVAL", "return redis.sha1hex('')", "0"],
    &["EVAL", "return cjson.encode({1, 2, a=3})", "0"],
    &[
        "EVAL",
        "return cjson.encode(cjson.decode('[1,{\"a\":null}]'))",
        "0",
    ],
    &[
        "EVAL",
        "return {cmsgpack.unpack(cmsgpack.pack(1, 'a', {2}))}",
        "0",
    ],
    &["EVAL", "return bit.band(0xff, 0x0f)", "0"],
    &[
        "EVAL",
        "return struct.unpack('>I2', struct.pack('>I2', 513))",
        "0",
    ],
    &["EVAL", "return {double=3.5}", "0"],
    &["EVAL", "return true", "0"],
    &["EVAL", "return false", "0"],
    &["EVAL", "error('mine')", "0"],
    &["EVAL", "error({err='MINE'})", "0"],
    &["EVAL", "syntax error", "0"],
    &["EVAL", "x = 1", "0"],
    &["EVAL", "return undefined_global", "0"],
    &["EVAL", "return 1", "-1"],
    &["EVAL", "return 1", "1"],
    &["EVAL", "return 1", "x"],
    &[
        "EVAL",
        "#!lua flags=no-writes\nreturn redis.call('set', KEYS[1], 1)",
        "1",
        "k",
    ],
    &["EVAL", "#!lua flags=nonsense\nreturn 1", "0"],
    &[
        "EVAL",
        "#!lua\nreturn redis.call('incr', KEYS[1])",
        "1",
        "n",
    ],
    &["EVAL_RO", "return redis.call('get', KEYS[1])", "1", "k"],
    &["EVAL_RO", "return redis.call('set', KEYS[1], 1)", "1", "k"],
    &["EVAL_RO", "#!lua\nreturn 1", "0"],
    &[
        "EVAL_RO",
        "#!lua flags=no-writes\nreturn redis.call('get', KEYS[1])",
        "1",
        "k",
    ],
    &["EVALSHA", "e0e1f9fabfc9d4800c877a703b823ac0578ff8db", "0"],
    &["EVALSHA", "E0E1F9FABFC9D4800C877A703B823AC0578FF8DB", "0"],
    &["EVALSHA", "nonsense", "0"],
    &["EVALSHA", "nonsense", "-1"],
    &[
        "EVALSHA_RO",
        "e0e1f9fabfc9d4800c877a703b823ac0578ff8db",
        "0",
    ],
    &["SCRIPT", "LOAD", "return 'loaded'"],
    &["SCRIPT", "LOAD", "syntax error"],
    &[
        "SCRIPT",
        "EXISTS",
        "e0e1f9fabfc9d4800c877a703b823ac0578ff8db",
        "nonsense",
    ],
    &["SCRIPT", "KILL"],
    &["SCRIPT", "NOPE"],
    &["SCRIPT", "FLUSH", "NOPE"],
    &["SCRIPT", "DEBUG", "NO"],
    &["MULTI"],
    &["SET", "t", "1"],
    &["EVAL", "return redis.call('incr', KEYS[1])", "1", "t"],
    &["EVALSHA", "nonsense", "0"],
    &["GET", "t"],
    &["EXEC"],
    &["FCALL", "nope", "0"],
    &["FCALL_RO", "nope", "0"],
    &["FUNCTION", "LOAD", LIBRARY],
    &["FUNCTION", "LOAD", LIBRARY],
    &["FUNCTION", "LOAD", "REPLACE", LIBRARY],
    &["FUNCTION", "LOAD", "no shebang"],
    &["FUNCTION", "LOAD", "#!lua\nreturn 1"],
    &["FUNCTION", "LOAD", "#!nope name=x\nreturn 1"],
    &["FUNCTION", "LOAD", "#!lua name=other\nreturn 1"],
    &[
        "FUNCTION",
        "LOAD",
        "#!lua name=other\nredis.register_function('add', function() return 1 end)",
    ],
    &["FUNCTION", "LOAD", "NOPE", LIBRARY],
    &["FCALL", "add", "1", "n", "7"],
    &["FCALL", "ADD", "1", "n", "7"],
    &["FCALL", "add", "1", "n", "x"],
    &["FCALL", "add", "x"],
    &["FCALL", "add", "-1"],
    &["FCALL", "add", "2", "n"],
    &["FCALL", "show", "1", "n"],
    &["FCALL_RO", "show", "1", "n"],
    &["FCALL_RO", "add", "1", "n", "1"],
    &["FUNCTION", "LIST", "LIBRARYNAME", "nope*"],
    &["FUNCTION", "LIST", "LIBRARYNAME"],
    &["FUNCTION", "LIST", "NOPE"],
    &["FUNCTION", "STATS"],
    &["FUNCTION", "RESTORE", "nonsense"],
    &["FUNCTION", "RESTORE", "nonsense", "NOPE"],
    &["FUNCTION", "KILL"],
    &["FUNCTION", "DELETE", "nope"],
    &["FUNCTION", "DELETE", "lib"],
    &["FCALL", "add", "1", "n", "7"],
    &["FUNCTION", "FLUSH", "NOPE"],
    &["FUNCTION", "FLUSH", "ASYNC"],
    &["SCRIPT", "FLUSH", "SYNC"],
    &["EVALSHA", "e0e1f9fabfc9d4800c877a703b823ac0578ff8db", "0"],
    &["EVAL"],
    &["EVALSHA", "x"],
    &["FCALL", "x"],
];

#[test]
fn scripts_answer_as_those_of_a_redis() -> anyhow::Result<()> {
    if !redis_server::is_installed() {
        eprintln!("SKIPPED: no redis-server on this machine");
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    let redis = RedisServer::start(dir.path(), "redis", &[])?;
    let cluster = Cluster::builder().start()?;
    let mut differences = Vec::new();
    for hello in ["2", "3"] {
        let (mut theirs, mut ours) = (connect(&redis.addr()), cluster.connect()?);
        for client in [&mut theirs, &mut ours] {
            client.call(&["HELLO", hello])?;
            client.call(&["DEL", "k", "l", "h", "n", "t"])?;
        }
        for words in ALIKE {
            theirs.send(words)?;
            ours.send(words)?;
            let (theirs, ours) = (theirs.receive_raw()?, ours.receive_raw()?);
            if theirs != ours {
                differences.push(format!(
                    "RESP{hello} {words:?}\n  Redis: {}\n  here:  {}",
                    String::from_utf8_lossy(&theirs).escape_debug(),
                    String::from_utf8_lossy(&ours).escape_debug(),
                ));
            }
        }
    }
    ensure!(differences.is_empty(), "{}", differences.join("\n"));
    let (mut theirs, mut ours) = (connect(&redis.addr()), cluster.connect()?);
    exchange(&mut theirs, &mut ours)?;
    exchange(&mut ours, &mut theirs)
}

/// Restores the functions of one server at the other. Dumps differ in their compressed bytes.
fn exchange(from: &mut Connection, to: &mut Connection) -> anyhow::Result<()> {
    const LIBRARY: &str =
        "#!lua name=both\nredis.register_function('both', function() return 7 end)";
    from.call(&["FUNCTION", "FLUSH"])?;
    from.call(&["FUNCTION", "LOAD", LIBRARY])?;
    let Reply::Bulk(dump) = from.call(&["FUNCTION", "DUMP"])? else {
        anyhow::bail!("no dump");
    };
    let words: [&[u8]; 4] = [b"FUNCTION", b"RESTORE", &dump, b"FLUSH"];
    let restored = to.call(&words)?;
    ensure!(restored == Reply::Simple("OK".to_owned()), "{restored:?}");
    let called = to.call(&["FCALL", "both", "0"])?;
    ensure!(called == Reply::Integer(7), "{called:?}");
    Ok(())
}

/// The rate of a limiter of five calls beside that of a redis-server with two replicas, which
/// writes each command to its log and waits for a replica. Prints both; `COTERIE_SCRIPT_SECONDS`
/// sets how long each runs.
#[test]
#[ignore = "a measurement: needs an idle machine and a release build"]
fn the_rate_of_scripts_is_near_that_of_a_redis() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let flags = ["--appendonly", "yes", "--appendfsync", "always"];
    let main = RedisServer::start(dir.path(), "main", &flags)?;
    let mut followers = Vec::new();
    for name in ["first", "second"] {
        let follower = RedisServer::start(dir.path(), name, &flags)?;
        let port = main.port().to_string();
        connect(&follower.addr()).call(&["REPLICAOF", "127.0.0.1", &port])?;
        followers.push(follower);
    }
    wait::until("the replicas follow", WITHIN, || {
        let reply = connect(&main.addr()).call(&["WAIT", "2", "100"])?;
        ensure!(reply == Reply::Integer(2), "{reply:?}");
        Ok(())
    })?;
    let cluster = Cluster::builder().start()?;
    let theirs = rate(&main.addr(), true)?;
    let ours = rate(&cluster.proxy(), false)?;
    println!(
        "redis-server {theirs:.0}/s, Coterie {ours:.0}/s: {:.2}",
        ours / theirs
    );
    Ok(())
}

/// Scripts per second of 50 clients.
fn rate(addr: &str, waits: bool) -> anyhow::Result<f64> {
    let seconds = coterie_tests::settings::number("COTERIE_SCRIPT_SECONDS", 10);
    let until = Instant::now() + Duration::from_secs(seconds as u64);
    let clients: Vec<_> = (0..50)
        .map(|client| {
            let addr = addr.to_owned();
            spawn(move || -> anyhow::Result<usize> {
                let mut connection = connect(&addr);
                let keys = [format!("l:{client}"), format!("g:{client}")];
                let mut count = 0;
                while Instant::now() < until {
                    connection.send(&["EVAL", LIMITER, "2", &keys[0], &keys[1], "1000"])?;
                    if waits {
                        connection.send(&["WAIT", "1", "0"])?;
                    }
                    let reply = connection.receive()?;
                    ensure!(matches!(reply, Reply::Integer(_)), "{reply:?}");
                    if waits {
                        connection.receive()?;
                    }
                    count += 1;
                }
                Ok(count)
            })
        })
        .collect();
    let began = Instant::now();
    let mut sum = 0;
    for client in clients {
        let count = client.join();
        sum += count.map_err(|_| anyhow::anyhow!("a client panicked"))??;
    }
    let took = began.elapsed().as_secs_f64();
    Ok(sum as f64 / took)
}
