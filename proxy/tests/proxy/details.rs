//! Replies of the proxy's own commands, compared with those of a redis-server 7.2: odd words, the
//! order of checks, and quoting.

use crate::support::client::command;
use crate::support::{Client, Cluster};

async fn expect(lines: &[(&str, &str)]) {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    for (line, expected) in lines {
        assert_eq!(client.run(line).await, *expected, "{line}");
    }
    proxy.shutdown().await;
}

/// Errors quote the client's own words, up to the first NUL.
#[tokio::test]
async fn words_are_quoted_as_they_came() {
    expect(&[
        ("CLIENT KILL USER a\0b", "-ERR No such user 'a'\r\n"),
        ("CLIENT KILL TYPE a\0b", "-ERR Unknown client type 'a'\r\n"),
        ("CLIENT SETINFO a\0b c", "-ERR Unrecognized option 'a'\r\n"),
        (
            "CLIENT SETINFO LIB-Name a\tb",
            "-ERR LIB-Name cannot contain spaces, newlines or special characters.\r\n",
        ),
        (
            "CLIENT SETINFO lib-ver \u{e9}",
            "-ERR lib-ver cannot contain spaces, newlines or special characters.\r\n",
        ),
        (
            "LATENCY GRAPH a\0b",
            "-ERR No samples available for event 'a'\r\n",
        ),
        ("CLUSTER REPLICAS a\0b", "-ERR Unknown node a\r\n"),
        (
            "DEBUG a\0b",
            "-ERR unknown subcommand or wrong number of arguments for 'a'. Try DEBUG HELP.\r\n",
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_timeout_ends_before_time_does() {
    expect(&[
        (
            "WAIT 0 9223372036854775807",
            "-ERR timeout is out of range\r\n",
        ),
        (
            "WAIT 0 9223372036854775808",
            "-ERR timeout is not an integer or out of range\r\n",
        ),
        ("WAIT 0 -1", "-ERR timeout is negative\r\n"),
        (
            "WAIT x x",
            "-ERR value is not an integer or out of range\r\n",
        ),
        (
            "CLIENT PAUSE 9223372036854775807",
            "-ERR timeout is out of range\r\n",
        ),
        (
            "CLIENT PAUSE 9223372036854775808 WRITE",
            "-ERR timeout is not an integer or out of range\r\n",
        ),
        ("CLIENT PAUSE -1", "-ERR timeout is negative\r\n"),
        (
            "CLIENT PAUSE x foo",
            "-ERR CLIENT PAUSE mode must be WRITE or ALL\r\n",
        ),
        // None of these commands pauses anybody.
        ("SET a 1", "+OK\r\n"),
        ("CLIENT PAUSE 9000000000000000000 WRITE", "+OK\r\n"),
        ("CLIENT UNPAUSE", "+OK\r\n"),
        ("SET a 1", "+OK\r\n"),
    ])
    .await;
}

#[tokio::test]
async fn odd_words_after_client_are_refused_as_redis_refuses_them() {
    expect(&[
        ("CLIENT LIST ID 0", "$0\r\n\r\n"),
        ("CLIENT LIST ID -1", "$0\r\n\r\n"),
        ("CLIENT LIST ID 0 x", "-ERR Invalid client ID\r\n"),
        ("CLIENT PAUSE 1 ALL x", "-ERR unknown subcommand or wrong number of arguments for 'PAUSE'. Try CLIENT HELP.\r\n"),
        ("CLIENT Unblock 1 ERROR x", "-ERR unknown subcommand or wrong number of arguments for 'Unblock'. Try CLIENT HELP.\r\n"),
        ("CLIENT UNBLOCK x foo", "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR\r\n"),
        ("CLIENT TRACKING OFF", "+OK\r\n"),
        ("CLIENT TRACKING OFF BCAST OPTIN OPTOUT NOLOOP PREFIX a", "+OK\r\n"),
        ("CLIENT TRACKING OFF foo", "-ERR syntax error\r\n"),
        ("CLIENT TRACKING OFF PREFIX", "-ERR syntax error\r\n"),
        ("CLIENT TRACKING OFF REDIRECT x", "-ERR value is not an integer or out of range\r\n"),
        ("CLIENT TRACKING OFF REDIRECT 99999", "-ERR The client ID you want redirect to does not exist\r\n"),
        ("CLIENT TRACKING foo BCAST", "-ERR syntax error\r\n"),
        ("CLIENT KILL ID 0 ADDR", "-ERR client-id should be greater than 0\r\n"),
        ("CLIENT KILL ID 1 ADDR", "-ERR syntax error\r\n"),
    ])
    .await;
}

#[tokio::test]
async fn client_side_caching_is_described_as_redis_describes_it() {
    const SWITCHED: &str = "-ERR You can't switch BCAST mode on/off before disabling tracking for \
        this client, and then re-enabling it with a different mode.\r\n";
    expect(&[
        ("CLIENT GETREDIR", ":-1\r\n"),
        ("CLIENT TRACKINGINFO", "*6\r\n$5\r\nflags\r\n*1\r\n$3\r\noff\r\n$8\r\nredirect\r\n:-1\r\n$8\r\nprefixes\r\n*0\r\n"),
        ("CLIENT TRACKING ON OPTIN NOLOOP", "+OK\r\n"),
        ("CLIENT GETREDIR", ":0\r\n"),
        ("CLIENT CACHING NO", "-ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.\r\n"),
        ("CLIENT CACHING YES", "+OK\r\n"),
        ("CLIENT TRACKINGINFO", "*6\r\n$5\r\nflags\r\n*4\r\n$2\r\non\r\n$5\r\noptin\r\n$11\r\ncaching-yes\r\n$6\r\nnoloop\r\n$8\r\nredirect\r\n:0\r\n$8\r\nprefixes\r\n*0\r\n"),
        ("PING", "+PONG\r\n"),
        ("CLIENT TRACKINGINFO", "*6\r\n$5\r\nflags\r\n*3\r\n$2\r\non\r\n$5\r\noptin\r\n$6\r\nnoloop\r\n$8\r\nredirect\r\n:0\r\n$8\r\nprefixes\r\n*0\r\n"),
        ("CLIENT TRACKING ON BCAST", SWITCHED),
        ("RESET", "+RESET\r\n"),
        ("CLIENT GETREDIR", ":-1\r\n"),
        ("CONFIG SET tracking-table-max-keys 7", "+OK\r\n"),
        ("CONFIG GET tracking-table-max-keys", "*2\r\n$23\r\ntracking-table-max-keys\r\n$1\r\n7\r\n"),
    ])
    .await;
}

#[tokio::test]
async fn settings_are_named_as_the_client_names_them() {
    expect(&[
        (
            "CONFIG GET MaxClients maxclients MAX?LIENTS",
            "*2\r\n$10\r\nMaxClients\r\n$5\r\n10000\r\n",
        ),
        (
            "CONFIG GET MAXC[kl]IENTS",
            "*2\r\n$10\r\nmaxclients\r\n$5\r\n10000\r\n",
        ),
        ("CONFIG GET max\\clients", "*0\r\n"),
        (
            "CONFIG GET MAXMEMORY maxmemory-p*",
            "*4\r\n$9\r\nMAXMEMORY\r\n$1\r\n0\r\n$16\r\nmaxmemory-policy\r\n$10\r\nnoeviction\r\n",
        ),
    ])
    .await;
}

/// The error for a setting that could not be set.
fn failed(name: &str, reason: &str) -> String {
    format!("-ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}\r\n")
}

#[tokio::test]
async fn config_set_checks_all_names_before_any_value() {
    let unknown = "-ERR Unknown option or number of arguments for CONFIG SET - 'nothing'\r\n";
    let immutable = "can't set immutable config";
    let not_a_size = "argument must be a memory value";
    let sizes = "argument must be between 1048576 and 9223372036854775807 inclusive";
    let not_an_integer = "argument couldn't be parsed into an integer";
    let lines = [
        ("maxclients 100 timeout", "-ERR syntax error\r\n".to_owned()),
        ("timeout abc nothing 1", unknown.to_owned()),
        ("nothing 1 nothing 2", unknown.to_owned()),
        ("DATABASES 3 nothing 1", failed("DATABASES", immutable)),
        ("databases 16", failed("databases", immutable)),
        ("cluster-enabled no", failed("cluster-enabled", immutable)),
        (
            "timeout 1 TimeOut abc",
            failed("TimeOut", "duplicate parameter"),
        ),
        ("TIMEOUT abc", failed("timeout", not_an_integer)),
        (
            "timeout 1 maxclients -1",
            failed(
                "maxclients",
                "argument must be between 1 and 4294967295 inclusive",
            ),
        ),
        // A setting that only Redis can change accepts its present value.
        ("appendonly yes save ", "+OK\r\n".to_owned()),
        ("AppendOnly no", failed("appendonly", immutable)),
        (
            "proto-max-bulk-len abc",
            failed("proto-max-bulk-len", not_a_size),
        ),
        (
            "proto-max-bulk-len -1",
            failed("proto-max-bulk-len", not_a_size),
        ),
        ("proto-max-bulk-len ", failed("proto-max-bulk-len", sizes)),
        (
            "proto-max-bulk-len 99999999999999999999",
            failed("proto-max-bulk-len", sizes),
        ),
        ("proto-max-bulk-len 02mb", "+OK\r\n".to_owned()),
        (
            "client-query-buffer-limit abc",
            failed("client-query-buffer-limit", not_a_size),
        ),
    ];
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    for (words, expected) in lines {
        let line = format!("CONFIG SET {words}");
        assert_eq!(client.run(&line).await, expected, "{line}");
    }
    proxy.shutdown().await;
}

#[tokio::test]
async fn output_limits_are_read_as_redis_reads_them() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    let buffer = "Error in hard, soft or soft_seconds setting in buffer limit configuration.";
    for (limits, expected) in [
        ("", "+OK\r\n".to_owned()),
        ("normal 02mb 0 060", "+OK\r\n".to_owned()),
        (
            "normal -1 0 0",
            failed("client-output-buffer-limit", buffer),
        ),
        (
            "normal 1 0 -1",
            failed("client-output-buffer-limit", buffer),
        ),
    ] {
        let words: [&[u8]; 4] = [
            b"config",
            b"set",
            b"client-output-buffer-limit",
            limits.as_bytes(),
        ];
        client.send(command(&words)).await;
        assert_eq!(client.reply().await, expected, "{limits}");
    }
    assert_eq!(
        client.run("CONFIG GET client-output-buffer-limit").await,
        "*2\r\n$26\r\nclient-output-buffer-limit\r\n$74\r\n\
         normal 2097152 0 60 slave 268435456 67108864 60 pubsub 33554432 8388608 60\r\n"
    );
    proxy.shutdown().await;
}

#[tokio::test]
async fn hello_reads_all_its_words_before_it_looks_at_a_password() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("--requirepass pw").await;
    let mut client = Client::connect(proxy.addr).await;
    let bad_name = "-ERR Client names cannot contain spaces, newlines or special characters.\r\n";
    for (line, expected) in [
        ("HELLO 3 SETNAME a\tb", bad_name),
        ("HELLO 3 AUTH default bad SETNAME a\tb", bad_name),
        ("HELLO 3 SETNAME a\tb foo", bad_name),
        (
            "HELLO 3 foo SETNAME a\tb",
            "-ERR Syntax error in HELLO option 'foo'\r\n",
        ),
        (
            "HELLO 9 SETNAME a\tb",
            "-NOPROTO unsupported protocol version\r\n",
        ),
        (
            "HELLO 3 AUTH default bad SETNAME me",
            "-WRONGPASS invalid username-password pair or user is disabled.\r\n",
        ),
        ("AUTH pw", "+OK\r\n"),
        ("CLIENT GETNAME", "$-1\r\n"),
    ] {
        assert_eq!(client.run(line).await, expected, "{line}");
    }
    proxy.shutdown().await;
}

#[tokio::test]
async fn texts_for_people_have_a_type_of_their_own_in_resp3() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    for (hello, begin) in [("HELLO 2", "$"), ("HELLO 3", "=")] {
        client.run(hello).await;
        for line in [
            "CLIENT INFO",
            "CLIENT LIST",
            "CLUSTER INFO",
            "CLUSTER NODES",
            "INFO server",
            "LATENCY DOCTOR",
            "MEMORY DOCTOR",
        ] {
            let reply = client.run(line).await;
            assert!(reply.starts_with(begin), "{hello}, {line}: {reply}");
            let has_format = reply.contains("\r\ntxt:");
            assert_eq!(has_format, begin == "=", "{hello}, {line}: {reply}");
        }
    }
    proxy.shutdown().await;
}

#[tokio::test]
async fn help_is_in_the_words_of_redis() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    // The number of help lines in Redis 7.2, and some of them. CLUSTER has only the lines of the
    // subcommands that Coterie offers.
    for (container, count, lines) in [
        (
            "CLIENT",
            54,
            [
                "GETREDIR",
                "    Suspend all, or just write, clients for <timeout> milliseconds.",
                "         [OPTIN] [OPTOUT] [NOLOOP]",
            ],
        ),
        (
            "CLUSTER",
            58,
            [
                "    Return cluster configuration seen by node. Output format:",
                "    start, end, master and replicas IP addresses, ports and ids",
                "LINKS",
            ],
        ),
        (
            "LATENCY",
            17,
            [
                "HISTOGRAM [COMMAND ...]",
                "    If no commands are specified then all histograms are replied.",
                "    Print this help.",
            ],
        ),
        (
            "MEMORY",
            14,
            [
                "USAGE <key> [SAMPLES <count>]",
                "    sampled up to <count> times (default: 5, 0 means sample all).",
                "HELP",
            ],
        ),
    ] {
        let help = client.run(&format!("{container} HELP")).await;
        let begin = format!(
            "*{count}\r\n+{container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:\r\n"
        );
        assert!(help.starts_with(&begin), "{help}");
        for line in lines {
            assert!(
                help.contains(&format!("\r\n+{line}\r\n")),
                "{line} in {help}"
            );
        }
    }
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_client_is_free_when_there_is_no_password_any_more() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("--requirepass s3cret").await;
    let mut early = Client::connect(proxy.addr).await;
    assert_eq!(
        early.run("GET k").await,
        "-NOAUTH Authentication required.\r\n"
    );
    let mut other = Client::connect(proxy.addr).await;
    assert_eq!(other.run("AUTH s3cret").await, "+OK\r\n");
    other.send("CONFIG SET requirepass \"\"\r\n").await;
    assert_eq!(other.reply().await, "+OK\r\n");
    assert_eq!(early.run("GET k").await, "$-1\r\n");
    proxy.shutdown().await;
}

#[tokio::test]
async fn what_is_the_proxys_own_is_unknown_and_reset_may_be_skipped() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    let unknown = "-ERR unknown command '_count', with args beginning with: \r\n";
    assert_eq!(client.run("_count").await, unknown);
    client.send("CLIENT REPLY SKIP\r\nRESET\r\nPING\r\n").await;
    assert_eq!(client.reply().await, "+PONG\r\n");
    client.send("CLIENT REPLY OFF\r\nRESET\r\nPING\r\n").await;
    assert_eq!(client.reply().await, "+RESET\r\n");
    assert_eq!(client.reply().await, "+PONG\r\n");
    // A command that had to wait for others is counted once.
    client
        .send("SET a 1\r\nFLUSHALL\r\nINFO commandstats\r\n")
        .await;
    assert_eq!(client.reply().await, "+OK\r\n");
    assert_eq!(client.reply().await, "+OK\r\n");
    let info = client.reply().await;
    assert!(info.contains("cmdstat_flushall:calls=1"), "{info}");
    proxy.shutdown().await;
}
