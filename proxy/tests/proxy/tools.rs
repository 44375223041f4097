//! Commands of operators' tools that the proxy answers, or refuses in words.

use coterie_redis_compat::{COMMANDS, Run};

use crate::support::{Client, Cluster};

/// The fields of INFO that redis_exporter, Datadog's agent and RedisInsight read.
const FIELDS: &[&str] = &[
    "redis_version",
    "redis_mode",
    "os",
    "tcp_port",
    "uptime_in_seconds",
    "hz",
    "io_threads_active",
    "connected_clients",
    "blocked_clients",
    "maxclients",
    "used_memory",
    "used_memory_rss",
    "used_memory_peak",
    "used_memory_overhead",
    "used_memory_dataset",
    "maxmemory",
    "mem_fragmentation_ratio",
    "mem_clients_normal",
    "allocator_frag_ratio",
    "rdb_changes_since_last_save",
    "rdb_last_save_time",
    "rdb_last_bgsave_status",
    "rdb_bgsave_in_progress",
    "aof_enabled",
    "aof_last_write_status",
    "total_connections_received",
    "total_commands_processed",
    "instantaneous_ops_per_sec",
    "total_net_input_bytes",
    "rejected_connections",
    "expired_keys",
    "evicted_keys",
    "keyspace_hits",
    "keyspace_misses",
    "latest_fork_usec",
    "sync_full",
    "role",
    "connected_slaves",
    "master_repl_offset",
    "repl_backlog_histlen",
    "used_cpu_sys",
    "used_cpu_user",
    "used_cpu_sys_children",
    "cluster_enabled",
];

async fn expect(client: &mut Client, exchange: &[(&str, &str)]) {
    for (line, expected) in exchange {
        assert_eq!(client.run(line).await, *expected, "{line}");
    }
}

#[tokio::test]
async fn saving_and_replicating_are_answered_truthfully() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    let fixed = "-ERR the slots cannot be changed: they are divided over the live proxies, and each \
                 proxy serves every key\r\n";
    let replicaof = "-ERR REPLICAOF is refused: the groups of the cluster replicate their keys \
                     themselves\r\n";
    let replication = "-ERR the replication protocol of Redis is not offered: SCAN and DUMP read all \
                       keys\r\n";
    expect(
        &mut client,
        &[
            ("SAVE", "+OK\r\n"),
            ("BGSAVE", "+Background saving started\r\n"),
            ("BGSAVE schedule", "+Background saving started\r\n"),
            ("BGSAVE x", "-ERR syntax error\r\n"),
            (
                "BGREWRITEAOF",
                "+Background append only file rewriting started\r\n",
            ),
            (
                "SHUTDOWN NOSAVE NOW",
                "-ERR SHUTDOWN is refused: other clients use this proxy. Stop its process with \
                 SIGTERM\r\n",
            ),
            ("SHUTDOWN SAVE NOSAVE", "-ERR syntax error\r\n"),
            ("SHUTDOWN ABORT NOW", "-ERR syntax error\r\n"),
            ("SHUTDOWN ABORT", "-ERR No shutdown in progress.\r\n"),
            ("FAILOVER ABORT", "-ERR No failover in progress.\r\n"),
            ("REPLICAOF no one", "+OK\r\n"),
            ("SLAVEOF NO ONE", "+OK\r\n"),
            ("REPLICAOF 127.0.0.1 6379", replicaof),
            ("PSYNC ? -1", replication),
            ("SYNC", replication),
            ("REPLCONF listening-port 1", replication),
            ("MODULE LIST", "*0\r\n"),
            ("ASKING", "+OK\r\n"),
            ("CLUSTER MEET 127.0.0.1 7000", fixed),
            ("CLUSTER SETSLOT 1 STABLE", fixed),
            ("CLUSTER SAVECONFIG", "+OK\r\n"),
            ("WAITAOF 1 0 0", "*2\r\n:1\r\n:0\r\n"),
            (
                "WAITAOF 2 0 0",
                "-ERR value is out of range, value must between 0 and 1\r\n",
            ),
            (
                "WAITAOF 0 -1 0",
                "-ERR value is out of range, must be positive\r\n",
            ),
            (
                "WAITAOF 0 0 x",
                "-ERR timeout is not an integer or out of range\r\n",
            ),
            (
                "LOLWUT VERSION x",
                "-ERR value is not an integer or out of range\r\n",
            ),
        ],
    )
    .await;
    proxy.shutdown().await;
}

#[tokio::test]
async fn words_for_people_are_answered() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    let module = client.run("MODULE LOAD /x.so").await;
    assert!(
        module.starts_with("-ERR MODULE command not allowed."),
        "{module}"
    );
    assert!(client.run("LOLWUT").await.contains("Redis ver. 7.2.0"));
    // A script that waits for a save to end sees that it has.
    let before = client.run("LASTSAVE").await;
    assert!(before.starts_with(':') && before.len() > ":1700000000".len());
    proxy.shutdown().await;
}

#[tokio::test]
async fn debug_is_for_those_who_asked_for_it() {
    let cluster = Cluster::of_two();
    let refused = cluster.proxy("--enable-debug-command no").await;
    let mut client = Client::connect(refused.addr).await;
    let line = client.run("DEBUG SLEEP 0").await;
    assert!(
        line.starts_with("-ERR DEBUG command not allowed."),
        "{line}"
    );
    refused.shutdown().await;

    let proxy = cluster.proxy("--enable-debug-command local").await;
    let mut client = Client::connect(proxy.addr).await;
    client.run("SET k 12").await;
    expect(
        &mut client,
        &[
            ("DEBUG SLEEP 0.001", "+OK\r\n"),
            ("DEBUG SET-ACTIVE-EXPIRE 0", "+OK\r\n"),
            ("DEBUG quicklist-packed-threshold 100b", "+OK\r\n"),
            ("DEBUG SET-DISABLE-DENY-SCRIPTS 1", "+OK\r\n"),
            ("DEBUG CHANGE-REPL-ID", "+OK\r\n"),
            ("DEBUG RELOAD NOSAVE NOFLUSH", "+OK\r\n"),
            ("DEBUG RELOAD x", "-ERR syntax error\r\n"),
            ("DEBUG LOADAOF", "+OK\r\n"),
            ("DEBUG STRINGMATCH-LEN 10 a", "+OK\r\n"),
            ("DEBUG ERROR MINE", "-MINE\r\n"),
            (
                "DEBUG SEGFAULT",
                "-ERR this DEBUG subcommand is not offered\r\n",
            ),
            (
                "DEBUG JMAP",
                "-ERR this DEBUG subcommand is not offered\r\n",
            ),
            (
                "DEBUG LOADAOF x",
                "-ERR unknown subcommand or wrong number of arguments for 'LOADAOF'. Try DEBUG \
                 HELP.\r\n",
            ),
            ("DEBUG OBJECT absent", "-ERR no such key\r\n"),
            ("DEBUG PROTOCOL integer", ":12345\r\n"),
            ("DEBUG PROTOCOL true", ":1\r\n"),
            (
                "DEBUG PROTOCOL push",
                "-ERR RESP2 is not supported by this command\r\n",
            ),
        ],
    )
    .await;
    let object = client.run("DEBUG OBJECT k").await;
    assert!(object.starts_with("+Value at:"), "{object}");
    assert!(
        object.contains(" encoding:int serializedlength:2 "),
        "{object}"
    );
    client.run("HELLO 3").await;
    assert_eq!(client.run("DEBUG PROTOCOL double").await, ",3.141\r\n");
    let push = client.run("DEBUG PROTOCOL push").await;
    assert_eq!(push, ">2\r\n$16\r\nserver-cpu-usage\r\n:42\r\n");
    let text = "Some real reply following the push reply";
    assert_eq!(
        client.reply().await,
        format!("${}\r\n{text}\r\n", text.len())
    );
    proxy.shutdown().await;
}

#[tokio::test]
async fn every_container_has_help() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    let mut containers = 0;
    for row in COMMANDS.iter().filter(|row| row.is_container()) {
        let name = row.name.to_uppercase();
        let helps = row.subcommands().iter();
        let help = helps.clone().find(|sub| sub.name.ends_with("|help"));
        if !matches!(help.map(|help| help.run), Some(Run::Proxy)) {
            continue;
        }
        containers += 1;
        let help = client.run(&format!("{name} HELP")).await;
        let first =
            format!("\r\n+{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:\r\n");
        assert!(help.contains(&first), "{help}");
        assert!(
            help.ends_with("+HELP\r\n+    Print this help.\r\n"),
            "{help}"
        );
    }
    assert!(containers >= 7, "only {containers}");
    proxy.shutdown().await;
}

#[tokio::test]
async fn settings_that_tools_ask_for_are_there() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    let all = client.run("CONFIG GET *").await;
    let count: usize = all[1..all.find('\r').unwrap()].parse().unwrap();
    assert!(count / 2 > 180, "only {} settings", count / 2);
    let failed = |name: &str, reason: &str| {
        format!("-ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}\r\n")
    };
    expect(
        &mut client,
        &[
            (
                "CONFIG GET appendonly",
                "*2\r\n$10\r\nappendonly\r\n$3\r\nyes\r\n",
            ),
            (
                "CONFIG GET hz maxmemory-samples",
                "*4\r\n$2\r\nhz\r\n$2\r\n10\r\n$17\r\nmaxmemory-samples\r\n$1\r\n5\r\n",
            ),
            ("CONFIG SET hz 50", "+OK\r\n"),
            ("CONFIG SET lazyfree-lazy-expire yes", "+OK\r\n"),
            ("CONFIG SET rdbcompression no hz 20", "+OK\r\n"),
            ("CONFIG SET min-replicas-to-write 0", "+OK\r\n"),
            ("CONFIG SET rdbcompression no hz", "-ERR syntax error\r\n"),
            (
                "CONFIG SET nothing 1",
                "-ERR Unknown option or number of arguments for CONFIG SET - 'nothing'\r\n",
            ),
            (
                "CONFIG SET rdbcompression maybe",
                &failed("rdbcompression", "argument must be 'yes' or 'no'"),
            ),
            (
                "CONFIG SET repl-timeout 0",
                &failed(
                    "repl-timeout",
                    "argument must be between 1 and 2147483647 inclusive",
                ),
            ),
            (
                "CONFIG SET min-replicas-to-write 1",
                &failed("min-replicas-to-write", "can't set immutable config"),
            ),
            (
                "CONFIG SET timeout 7 timeout 8",
                &failed("timeout", "duplicate parameter"),
            ),
            // All or nothing.
            (
                "CONFIG SET timeout 7 tcp-keepalive x",
                &failed(
                    "tcp-keepalive",
                    "argument couldn't be parsed into an integer",
                ),
            ),
            ("CONFIG GET timeout", "*2\r\n$7\r\ntimeout\r\n$1\r\n0\r\n"),
            (
                "CONFIG REWRITE",
                "-ERR The server is running without a config file\r\n",
            ),
        ],
    )
    .await;
    proxy.shutdown().await;
}

#[tokio::test]
async fn slow_commands_are_latency_events() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    let doctor = client.run("LATENCY DOCTOR").await;
    assert!(
        doctor.contains("CONFIG SET latency-monitor-threshold"),
        "{doctor}"
    );
    client.run("DEBUG SLEEP 0.02").await;
    assert_eq!(client.run("LATENCY LATEST").await, "*0\r\n", "it is off");
    client.run("CONFIG SET latency-monitor-threshold 20").await;
    client.run("DEBUG SLEEP 0.03").await;
    client.run("PING").await;
    let latest = client.run("LATENCY LATEST").await;
    assert!(
        latest.starts_with("*1\r\n*4\r\n$7\r\ncommand\r\n:"),
        "{latest}"
    );
    let millis = |reply: &str| {
        let last = reply.trim_end().rsplit("\r\n:").next().unwrap_or_default();
        last.parse::<u64>().unwrap()
    };
    assert!(millis(&latest) >= 30, "{latest}");
    let history = client.run("LATENCY HISTORY command").await;
    assert!(
        history.starts_with("*1\r\n*2\r\n:") && millis(&history) >= 30,
        "{history}"
    );
    assert_eq!(client.run("LATENCY HISTORY fast-command").await, "*0\r\n");
    let graph = client.run("LATENCY GRAPH command").await;
    assert!(
        graph.contains("command - high ") && graph.contains("(all time high "),
        "{graph}"
    );
    expect(
        &mut client,
        &[
            ("LATENCY RESET nothing", ":0\r\n"),
            ("LATENCY RESET command", ":1\r\n"),
            (
                "LATENCY GRAPH command",
                "-ERR No samples available for event 'command'\r\n",
            ),
        ],
    )
    .await;
    proxy.shutdown().await;
}

#[tokio::test]
async fn monitoring_finds_its_fields() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    let info = client.run("INFO").await;
    for field in FIELDS {
        let found = info
            .lines()
            .filter(|line| line.split(':').next() == Some(*field));
        assert_eq!(found.count(), 1, "{field}");
    }
    let titles = |info: &str| -> Vec<String> {
        let titles = info.lines().filter_map(|line| line.strip_prefix("# "));
        titles.map(str::to_owned).collect()
    };
    let default = [
        "Server",
        "Clients",
        "Memory",
        "Persistence",
        "Stats",
        "Replication",
        "CPU",
        "Modules",
        "Errorstats",
        "Cluster",
        "Coterie",
        "Keyspace",
    ];
    assert_eq!(titles(&info), default);
    let everything = titles(&client.run("INFO everything").await);
    assert_eq!(everything.len(), default.len() + 2);
    assert_eq!(
        titles(&client.run("INFO cpu CLUSTER").await),
        ["CPU", "Cluster"]
    );
    let memory = client.run("MEMORY STATS").await;
    for field in [
        "peak.allocated",
        "overhead.total",
        "allocator-fragmentation.ratio",
        "fragmentation",
    ] {
        assert!(
            memory.contains(&format!("\r\n{field}\r\n")),
            "{field}: {memory}"
        );
    }
    proxy.shutdown().await;
}
