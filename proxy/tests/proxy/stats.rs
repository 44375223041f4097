//! INFO's counts of commands and errors. The counts of the first test were recorded from a
//! redis-server 7.0.15 that was sent the same lines.

use std::collections::BTreeMap;

use crate::support::{Client, Cluster, Fault, wait_until};

/// Lines of a command each, whose replies do not matter here.
const LINES: &[&str] = &[
    "CONFIG RESETSTAT",
    "SET a 1",
    "GET a",
    "GET f",
    "GET",
    "CONFIG GET",
    "CONFIG NOPE",
    "NOSUCH x",
    "INCR a",
    "SET e text",
    "INCR e",
    "COPY a b NOPE",
    "COPY a b DB x",
    "BITOP NOT d a b",
    "MSETNX a 1 b",
    "LCS a b LEN IDX",
    "MGET a f e",
    "SETBIT a x 1",
    "EXEC",
    "MULTI",
    "INCR a",
    "INCR e",
    "GET f",
    "PING",
    "EXEC",
    "MULTI",
    "GET",
    "EXEC",
    "MULTI",
    "MULTI",
    "DISCARD",
    "DISCARD",
    "WATCH a",
    "UNWATCH",
    "ECHO x",
    "AUTH wrong",
    "OBJECT ENCODING a",
    "CLIENT SETNAME x",
    "GETEX a",
    "GETDEL a",
    "SELECT 99",
    "RESTORE a 0 x",
];

/// Calls, rejected calls and failed calls of each command.
type Counts = BTreeMap<String, (u64, u64, u64)>;

const RECORDED: &[(&str, (u64, u64, u64))] = &[
    ("auth", (1, 0, 1)),
    ("bitop", (1, 0, 1)),
    ("client|setname", (1, 0, 0)),
    ("config|get", (0, 1, 0)),
    ("config|resetstat", (1, 0, 0)),
    ("copy", (2, 0, 2)),
    ("discard", (2, 0, 1)),
    ("echo", (1, 0, 0)),
    ("exec", (3, 0, 2)),
    ("get", (3, 2, 0)),
    ("getdel", (1, 0, 0)),
    ("getex", (1, 0, 0)),
    ("incr", (4, 0, 2)),
    ("lcs", (1, 0, 1)),
    ("mget", (1, 0, 0)),
    ("msetnx", (1, 0, 1)),
    ("multi", (4, 0, 1)),
    ("object|encoding", (1, 0, 0)),
    ("ping", (1, 0, 0)),
    ("restore", (1, 0, 1)),
    ("select", (1, 0, 1)),
    ("set", (2, 0, 0)),
    ("setbit", (1, 0, 1)),
    ("unwatch", (1, 0, 0)),
    ("watch", (1, 0, 0)),
];

/// The lines of a section, as name and value.
async fn section(client: &mut Client, name: &str) -> BTreeMap<String, String> {
    let info = client.run(&format!("INFO {name}")).await;
    let pairs = info.lines().filter_map(|line| line.split_once(':'));
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn field(line: &str, name: &str) -> f64 {
    let mut fields = line.split(',').filter_map(|field| field.split_once('='));
    let (_, value) = fields.find(|(field, _)| *field == name).expect(name);
    value.parse().expect(name)
}

async fn counts(client: &mut Client) -> Counts {
    let lines = section(client, "commandstats").await;
    let counts = lines.iter().map(|(name, line)| {
        let name = name
            .strip_prefix("cmdstat_")
            .expect("the prefix")
            .to_owned();
        let of = |name| field(line, name) as u64;
        (
            name,
            (of("calls"), of("rejected_calls"), of("failed_calls")),
        )
    });
    counts.collect()
}

#[tokio::test]
async fn calls_refusals_and_failures_are_counted_as_redis_counts_them() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    // Counts from before the reset are gone.
    client.run("NOSUCH").await;
    client.run("GET a").await;
    for line in LINES {
        client.run(line).await;
    }
    let recorded: Counts = RECORDED
        .iter()
        .map(|(name, of)| ((*name).to_owned(), *of))
        .collect();
    assert_eq!(counts(&mut client).await, recorded);
    let errors = section(&mut client, "errorstats").await;
    let recorded = [
        ("errorstat_ERR", "count=19"),
        ("errorstat_EXECABORT", "count=1"),
    ];
    let recorded = recorded.map(|(code, count)| (code.to_owned(), count.to_owned()));
    assert_eq!(errors, BTreeMap::from(recorded));
    let stats = section(&mut client, "stats").await;
    assert_eq!(stats["total_error_replies"], "20");
    // GET, MGET, GETEX and GETDEL report hits and misses.
    assert_eq!(
        (
            stats["keyspace_hits"].as_str(),
            stats["keyspace_misses"].as_str()
        ),
        ("5", "3")
    );

    client.run("CONFIG RESETSTAT").await;
    let expected = [("config|resetstat".to_owned(), (1, 0, 0))];
    assert_eq!(counts(&mut client).await, BTreeMap::from(expected));
    assert!(section(&mut client, "errorstats").await.is_empty());
    assert_eq!(
        section(&mut client, "stats").await["total_error_replies"],
        "0"
    );
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_command_with_too_long_an_argument_counts_as_rejected() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("--max-value-bytes 1MiB").await;
    let mut client = Client::connect(proxy.addr).await;
    client.run("CONFIG RESETSTAT").await;
    let long = "x".repeat((1 << 20) + 1);
    for line in [format!("SET a {long}"), format!("GET {long}")] {
        let reply = client.run(&line).await;
        assert!(reply.contains("exceeds maximum allowed size"), "{reply}");
    }
    let counts = counts(&mut client).await;
    assert_eq!((counts["set"], counts["get"]), ((0, 1, 0), (0, 1, 0)));
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_call_takes_until_its_answer_is_complete() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    assert_eq!(client.run("SET z 1").await, "+OK\r\n");
    assert_eq!(client.run("SET a 1").await, "+OK\r\n");
    client.run("CONFIG RESETSTAT").await;
    // A group answers late: the call is complete with the later answer.
    cluster.faults(2, &[Fault::Hold]);
    client.put("MGET a z").await;
    wait_until(|| cluster.group(2, |group| group.faults.is_empty())).await;
    let mut other = Client::connect(proxy.addr).await;
    assert_eq!(other.run("GET a").await, "$1\r\n1\r\n");
    assert!(
        !counts(&mut other).await.contains_key("mget"),
        "not answered yet"
    );
    other.run("DEBUG SLEEP 0.03").await;
    cluster.go_on(2);
    assert_eq!(client.reply().await, "*2\r\n$1\r\n1\r\n$1\r\n1\r\n");
    let lines = section(&mut other, "commandstats").await;
    let mget = &lines["cmdstat_mget"];
    assert_eq!(field(mget, "calls"), 1.0);
    assert!(field(mget, "usec") >= 30_000.0, "{mget}");
    assert_eq!(field(mget, "usec"), field(mget, "usec_per_call"), "{mget}");
    assert!(field(&lines["cmdstat_debug"], "usec") >= 30_000.0);

    let percentiles = section(&mut other, "latencystats").await;
    let mget = &percentiles["latency_percentiles_usec_mget"];
    for percentile in ["p50", "p99", "p99.9"] {
        assert!(field(mget, percentile) >= 29_000.0, "{mget}");
    }
    let histogram = other.run("LATENCY HISTOGRAM mget nosuch").await;
    let head = "*2\r\n$4\r\nmget\r\n*4\r\n$5\r\ncalls\r\n:1\r\n$14\r\nhistogram_usec\r\n*2\r\n:";
    assert!(
        histogram.starts_with(head) && histogram.ends_with(":1\r\n"),
        "{histogram}"
    );
    let all = other.run("LATENCY HISTOGRAM").await;
    assert!(
        all.contains("$4\r\nmget\r\n") && all.contains("$3\r\nget\r\n"),
        "{all}"
    );
    let config = other.run("LATENCY HISTOGRAM config").await;
    assert!(
        config.starts_with("*2\r\n$16\r\nconfig|resetstat\r\n"),
        "{config}"
    );
    proxy.shutdown().await;
}

#[tokio::test]
async fn what_groups_and_the_way_to_them_refuse_is_counted() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("--requirepass secret").await;
    let mut client = Client::connect(proxy.addr).await;
    assert!(client.run("GET a").await.starts_with("-NOAUTH"));
    assert_eq!(client.run("AUTH secret").await, "+OK\r\n");
    assert!(client.run("RENAME a z").await.starts_with("-CROSSGROUP"));
    cluster.faults(1, &[Fault::DiskFull]);
    assert!(client.run("SET a 1").await.starts_with("-OOM"));
    // A part of the command is done: the error of the whole command counts, and only once.
    cluster.faults(2, &[Fault::DiskFull]);
    assert!(client.run("MSET a 1 z 1").await.starts_with("-UNKNOWN"));
    // Within MULTI, without commands for a group, and with a reply that the client does not want.
    client.send("MULTI\r\nPING\r\nSELECT 99\r\nEXEC\r\n").await;
    for expected in ["+OK\r\n", "+QUEUED\r\n", "+QUEUED\r\n"] {
        assert_eq!(client.reply().await, expected);
    }
    client.reply().await;
    client.send("CLIENT REPLY SKIP\r\nGETBIT a x\r\n").await;
    let counts = counts(&mut client).await;
    for (name, expected) in [
        ("get", (0, 1, 0)),
        ("rename", (0, 1, 0)),
        ("set", (1, 0, 1)),
        ("mset", (1, 0, 1)),
        ("ping", (1, 0, 0)),
        ("select", (1, 0, 1)),
        ("exec", (1, 0, 0)),
        ("getbit", (1, 0, 1)),
    ] {
        assert_eq!(counts.get(name), Some(&expected), "{name}");
    }
    let errors = section(&mut client, "errorstats").await;
    let expected = [
        ("errorstat_CROSSGROUP", "count=1"),
        ("errorstat_ERR", "count=2"),
        ("errorstat_NOAUTH", "count=1"),
        ("errorstat_OOM", "count=1"),
        ("errorstat_UNKNOWN", "count=1"),
    ];
    let expected = expected.map(|(code, count)| (code.to_owned(), count.to_owned()));
    assert_eq!(errors, BTreeMap::from(expected));
    proxy.shutdown().await;
}

/// Errors in a command's words come before errors about its keys' groups, as in Redis.
#[tokio::test]
async fn words_are_checked_before_groups() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    for (line, expected) in [
        ("COPY a z NOPE", "-ERR syntax error\r\n"),
        ("COPY a z DB", "-ERR syntax error\r\n"),
        ("COPY a z DB 99", "-ERR DB index is out of range\r\n"),
        (
            "COPY a z DB x",
            "-ERR value is not an integer or out of range\r\n",
        ),
        (
            "BITOP NOT a z b",
            "-ERR BITOP NOT must be called with a single source key.\r\n",
        ),
        ("BITOP NOPE a z", "-ERR syntax error\r\n"),
        (
            "MSETNX a 1 z",
            "-ERR wrong number of arguments for 'msetnx' command\r\n",
        ),
        (
            "MSET a 1 z",
            "-ERR wrong number of arguments for 'mset' command\r\n",
        ),
        ("LCS a z NOPE", "-ERR syntax error\r\n"),
        (
            "LCS a z LEN IDX",
            "-ERR If you want both the length and indexes, please just use IDX.\r\n",
        ),
    ] {
        assert_eq!(client.run(line).await, expected, "{line}");
    }
    for line in [
        "COPY a z REPLACE",
        "BITOP AND a z",
        "MSETNX a 1 z 1",
        "LCS a z",
        "RENAME a z",
        "RENAMENX a z",
    ] {
        let reply = client.run(line).await;
        assert!(reply.starts_with("-CROSSGROUP"), "{line}: {reply}");
        assert!(!reply.contains("hash tag"), "{reply}");
    }
    // Within a transaction, the whole transaction cannot be routed.
    client
        .send("MULTI\r\nSET a 1\r\nCOPY a z NOPE\r\nEXEC\r\n")
        .await;
    for expected in ["+OK\r\n", "+QUEUED\r\n", "+QUEUED\r\n"] {
        assert_eq!(client.reply().await, expected);
    }
    let reply = client.reply().await;
    assert!(reply.starts_with("-CROSSGROUP"), "{reply}");
    proxy.shutdown().await;
}
