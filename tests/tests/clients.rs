//! Widely used client libraries and programs, against a cluster through a proxy. They run against a
//! redis-server as well, which shows that the scripts expect the behaviour of Redis.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use coterie_tests::cluster::Cluster;
use coterie_tests::foreign;
use coterie_tests::redis_server::{self, RedisServer};
use redis::{AsyncCommands, Commands};

#[test]
fn a_redis_server_serves_them_all() {
    if !redis_server::is_installed() {
        eprintln!("SKIPPED: no redis-server on this machine");
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let redis = RedisServer::start(dir.path(), "redis", &[]).expect("redis-server starts");
    all_clients(&redis.addr());
}

#[test]
fn a_cluster_serves_them_all() {
    let cluster = Cluster::builder().start().expect("starts");
    all_clients(&cluster.proxy());
    coterie_answers_redis_cli(&cluster.proxy());
}

fn all_clients(addr: &str) {
    let (host, port) = addr.rsplit_once(':').expect("host and port");
    redis_rs_blocking(addr);
    redis_rs_async(addr);
    redis_cli(port);
    redis_benchmark(port);
    let script = |name: &str| -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("clients")
            .join(name)
    };
    for protocol in ["2", "3"] {
        let said = foreign::run_redis_py(&script("redis_py.py"), &[host, port, protocol]);
        if let Some(said) = said.expect("redis-py works") {
            assert_eq!(said.trim(), "ok");
        }
    }
    let script_of_cache = script("redis_py_cache.py");
    let said = foreign::run_redis_py(&script_of_cache, &[host, port, host, port]);
    if let Some(said) = said.expect("redis-py keeps nothing old") {
        assert_eq!(said.trim(), "ok");
    }
    let said = foreign::run_ioredis(&script("ioredis.js"), &[host, port]);
    if let Some(said) = said.expect("ioredis works") {
        assert_eq!(said.trim(), "ok");
    }
}

fn redis_rs_blocking(addr: &str) {
    let client = redis::Client::open(format!("redis://{addr}/")).expect("a valid address");
    let mut connection = client.get_connection().expect("connects");
    let () = connection.set("rs:a", 41).expect("SET");
    assert_eq!(connection.incr::<_, _, i64>("rs:a", 1).expect("INCR"), 42);
    assert_eq!(
        connection
            .get::<_, Option<String>>("rs:absent")
            .expect("GET"),
        None
    );
    let pairs: Vec<(String, u32)> = (0..300).map(|n| (format!("rs:p{n:03}"), n)).collect();
    let () = connection.mset(&pairs).expect("MSET");
    let keys: Vec<&String> = pairs.iter().map(|(key, _)| key).collect();
    let values: Vec<u32> = connection.mget(&keys).expect("MGET");
    assert_eq!(values, (0..300).collect::<Vec<_>>());
    let found: BTreeSet<String> = connection
        .scan_match("rs:p*")
        .expect("SCAN")
        .collect::<redis::RedisResult<_>>()
        .expect("SCAN to the end");
    assert_eq!(found.iter().collect::<Vec<_>>(), keys);
    let doubled: Vec<i64> = redis::transaction(&mut connection, &["rs:a"], |connection, pipe| {
        let before: i64 = connection.get("rs:a")?;
        pipe.set("rs:a", before * 2)
            .ignore()
            .get("rs:a")
            .query(connection)
    })
    .expect("WATCH, MULTI and EXEC");
    assert_eq!(doubled, [84]);
    assert_eq!(connection.del::<_, i64>(&keys).expect("DEL"), 300);
}

fn redis_rs_async(addr: &str) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let client = redis::Client::open(format!("redis://{addr}/?protocol=resp3"));
        let connection = client
            .expect("a valid address")
            .get_multiplexed_async_connection()
            .await;
        let connection = connection.expect("connects over RESP3");
        let calls = (0..200).map(|_| {
            let mut connection = connection.clone();
            async move {
                connection
                    .incr::<_, _, i64>("rs:count", 1)
                    .await
                    .expect("INCR")
            }
        });
        let counted: BTreeSet<i64> = futures_util::future::join_all(calls)
            .await
            .into_iter()
            .collect();
        assert_eq!(counted, (1..=200).collect());
        let mut connection = connection;
        let mut pipe = redis::pipe();
        pipe.atomic()
            .set("rs:t", "1")
            .ignore()
            .incr("rs:t", 1)
            .get("rs:t");
        let replies: (i64, String) = pipe.query_async(&mut connection).await.expect("MULTI");
        assert_eq!(replies, (2, "2".to_owned()));
        connection
            .expire::<_, ()>("rs:t", 1000)
            .await
            .expect("EXPIRE");
        let left: i64 = connection.ttl("rs:t").await.expect("TTL");
        assert!((1..=1000).contains(&left));
    });
}

/// Runs redis-cli and returns its output.
fn cli(port: &str, args: &[&str], input: &str) -> Option<String> {
    let args = [&["-p", port], args].concat();
    foreign::run_program("redis-cli", &args, input.as_bytes()).expect("redis-cli works")
}

fn redis_cli(port: &str) {
    let Some(pong) = cli(port, &["PING"], "") else {
        return;
    };
    assert_eq!(pong, "PONG\n");
    let said = |args: &[&str], input: &str| cli(port, args, input).unwrap_or_default();
    assert_eq!(said(&["SET", "cli:a", "a b"], ""), "OK\n");
    assert_eq!(said(&["GET", "cli:a"], ""), "a b\n");
    assert_eq!(said(&["-3", "GET", "cli:a"], ""), "a b\n");
    assert_eq!(said(&["-x", "SET", "cli:stdin"], "from stdin"), "OK\n");
    let session = "MULTI\nSET cli:b 1\nINCR cli:b\nEXEC\nSELECT 3\nDBSIZE\nNOSUCH\n";
    let replies = said(&[], session);
    let expected = "OK\nQUEUED\nQUEUED\nOK\n2\nOK\n0\nERR unknown command 'NOSUCH'";
    assert!(replies.starts_with(expected), "{replies}");
    // Mass insertion, as in the manual of redis-cli.
    let mut protocol = Vec::new();
    for n in 0..1_000 {
        // Keys that a cursor can tell apart, and keys with a common prefix that it cannot.
        let key = match n % 2 {
            0 => format!("cli:pipe:{n}"),
            _ => format!("cli:pipe:a-long-beginning-in-common-for-half-of-them:{n}"),
        };
        coterie_tests::resp::encode(&mut protocol, &["SET", &key, "x"]);
    }
    let loaded = said(&["--pipe"], &String::from_utf8(protocol).expect("ASCII"));
    assert!(loaded.contains("errors: 0, replies: 1000"), "{loaded}");
    let scanned = said(&["--scan", "--pattern", "cli:pipe:*"], "");
    assert_eq!(scanned.lines().collect::<BTreeSet<_>>().len(), 1_000);
    assert_eq!(scanned.lines().count(), 1_000, "each once");
}

/// Coterie's own subcommands print readable text and no error.
fn coterie_answers_redis_cli(addr: &str) {
    let (_, port) = addr.rsplit_once(':').expect("host and port");
    for subcommand in ["HELP", "NODES", "GROUPS", "RANGES"] {
        for protocol in ["-2", "-3"] {
            let Some(said) = cli(port, &[protocol, "COTERIE", subcommand], "") else {
                return;
            };
            assert!(
                !said.trim().is_empty() && !said.starts_with("ERR"),
                "{subcommand}: {said}"
            );
        }
    }
    for question in [
        ["CLUSTER", "INFO"],
        ["CLUSTER", "NODES"],
        ["COMMAND", "COUNT"],
    ] {
        let said = cli(port, &question, "").unwrap_or_default();
        assert!(
            !said.trim().is_empty() && !said.starts_with("ERR"),
            "{question:?}: {said}"
        );
    }
}

fn redis_benchmark(port: &str) {
    for pipeline in ["1", "16"] {
        let started = std::time::Instant::now();
        let args = [
            "-p",
            port,
            "-t",
            "ping,set,get,incr,mset",
            "-n",
            "2000",
            "-c",
            "20",
            "-q",
        ];
        let args = [&args[..], &["-P", pipeline, "-r", "1000"]].concat();
        let said = foreign::run_program("redis-benchmark", &args, b"").expect("it works");
        let Some(said) = said else { return };
        for test in [
            "PING_INLINE",
            "PING_MBULK",
            "SET",
            "GET",
            "INCR",
            "MSET (10 keys)",
        ] {
            let line = format!("{test}: ");
            assert!(said.contains(&line), "no {test} in {said}");
        }
        let complaints = ["rror", "WARN"];
        assert!(!complaints.iter().any(|word| said.contains(word)), "{said}");
        assert!(started.elapsed() < Duration::from_secs(120));
    }
}
