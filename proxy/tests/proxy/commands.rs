//! Commands that the proxy answers itself.

use std::time::Duration;

use crate::support::{Client, Cluster};

async fn expect(client: &mut Client, exchange: &[(&str, &str)]) {
    for (line, expected) in exchange {
        assert_eq!(client.run(line).await, *expected, "{line}");
    }
}

#[tokio::test]
async fn the_connection_is_steered() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    expect(
        &mut client,
        &[
            ("PING", "+PONG\r\n"),
            ("PING a", "$1\r\na\r\n"),
            ("PING a b", "-ERR wrong number of arguments for 'ping' command\r\n"),
            ("ECHO hi", "$2\r\nhi\r\n"),
            ("SELECT 16", "-ERR DB index is out of range\r\n"),
            ("SELECT -1", "-ERR DB index is out of range\r\n"),
            ("SELECT 2147483647", "-ERR DB index is out of range\r\n"),
            ("SELECT 2147483648", "-ERR value is out of range, value must between -2147483648 and 2147483647\r\n"),
            ("SELECT -2147483649", "-ERR value is out of range, value must between -2147483648 and 2147483647\r\n"),
            ("SELECT 9223372036854775808", "-ERR value is not an integer or out of range\r\n"),
            ("SELECT x", "-ERR value is not an integer or out of range\r\n"),
            ("SELECT 0", "+OK\r\n"),
            ("READONLY", "+OK\r\n"),
            ("GET a", "$-1\r\n"),
            ("READWRITE", "+OK\r\n"),
            ("AUTH x", "-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?\r\n"),
            ("AUTH default x", "+OK\r\n"),
            ("CLIENT SETNAME me", "+OK\r\n"),
            ("CLIENT GETNAME", "$2\r\nme\r\n"),
            ("CLIENT SETINFO lib-name redis-py", "+OK\r\n"),
            ("CLIENT NOSUCH", "-ERR unknown subcommand 'NOSUCH'. Try CLIENT HELP.\r\n"),
            ("_COUNT a b", "-ERR unknown command '_COUNT', with args beginning with: 'a' 'b' \r\n"),
            ("CLUSTER KEYSLOT foo", ":12182\r\n"),
            ("HELLO 4", "-NOPROTO unsupported protocol version\r\n"),
        ],
    )
    .await;
    let hello = client.run("HELLO 3").await;
    assert!(
        hello.starts_with("%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n"),
        "{hello}"
    );
    assert_eq!(client.run("GET a").await, "_\r\n");
    let info = client.run("CLIENT INFO").await;
    assert!(
        info.contains("name=me") && info.contains("lib-name=redis-py") && info.contains("resp=3")
    );
    assert!(info.contains("cmd=client|info"), "{info}");
    assert_eq!(client.run("RESET").await, "+RESET\r\n");
    assert_eq!(client.run("GET a").await, "$-1\r\n");
    client.put("QUIT").await;
    assert_eq!(client.rest().await, "+OK\r\n");
    proxy.shutdown().await;
}

#[tokio::test]
async fn replies_can_be_turned_off() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    let lines = "CLIENT REPLY SKIP\r\nSET a 1\r\nGET a\r\nCLIENT REPLY OFF\r\nINCR a\r\nPING\r\nDBSIZE\r\nCLIENT REPLY ON\r\nGET a\r\n";
    client.send(lines).await;
    for expected in ["$1\r\n1\r\n", "+OK\r\n", "$1\r\n2\r\n"] {
        assert_eq!(client.reply().await, expected);
    }
    proxy.shutdown().await;
}

#[tokio::test]
async fn clients_are_killed_by_filter() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    let mut victim = Client::connect(proxy.addr).await;
    let id = victim.run("CLIENT ID").await.trim()[1..].to_owned();
    expect(
        &mut client,
        &[
            ("CLIENT KILL 1.2.3.4:5", "-ERR No such client\r\n"),
            (
                "CLIENT KILL ID 0",
                "-ERR client-id should be greater than 0\r\n",
            ),
            ("CLIENT KILL FOO x", "-ERR syntax error\r\n"),
            ("CLIENT KILL TYPE foo", "-ERR Unknown client type 'foo'\r\n"),
            ("CLIENT KILL TYPE pubsub", ":0\r\n"),
            // Redis has MAXAGE since 7.4.
            ("CLIENT KILL MAXAGE 1000", ":0\r\n"),
            (
                "CLIENT KILL MAXAGE 0",
                "-ERR maxage should be greater than 0\r\n",
            ),
        ],
    )
    .await;
    assert_eq!(
        client
            .run(&format!("CLIENT KILL ID {id} USER default"))
            .await,
        ":1\r\n"
    );
    assert_eq!(victim.rest().await, "");
    let mut victim = Client::connect(proxy.addr).await;
    victim.run("PING").await;
    let addr = victim.stream.local_addr().unwrap();
    assert_eq!(client.run(&format!("CLIENT KILL {addr}")).await, "+OK\r\n");
    assert_eq!(victim.rest().await, "");
    client.put("CLIENT KILL SKIPME no").await;
    assert_eq!(client.rest().await, ":1\r\n");
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_pause_holds_writes_and_lets_reads_through() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let (mut one, mut two) = (
        Client::connect(proxy.addr).await,
        Client::connect(proxy.addr).await,
    );
    assert_eq!(one.run("CLIENT PAUSE 100000 WRITE").await, "+OK\r\n");
    assert_eq!(one.run("GET a").await, "$-1\r\n");
    two.send("SET a 1\r\nGET a\r\n").await;
    assert_eq!(one.run("GET a").await, "$-1\r\n");
    assert_eq!(one.run("CLIENT UNPAUSE").await, "+OK\r\n");
    assert_eq!(two.reply().await, "+OK\r\n");
    assert_eq!(two.reply().await, "$1\r\n1\r\n");
    proxy.shutdown().await;
}

#[tokio::test]
async fn settings_are_shown_and_changed() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    expect(
        &mut client,
        &[
            ("CONFIG GET save", "*2\r\n$4\r\nsave\r\n$0\r\n\r\n"),
            ("CONFIG GET maxcl*", "*2\r\n$10\r\nmaxclients\r\n$5\r\n10000\r\n"),
            ("CONFIG SET maxclients 5 timeout x", "-ERR CONFIG SET failed (possibly related to argument 'timeout') - argument couldn't be parsed into an integer\r\n"),
            ("CONFIG GET maxclients", "*2\r\n$10\r\nmaxclients\r\n$5\r\n10000\r\n"),
            ("CONFIG GET hash-max-zip*", "*4\r\n$24\r\nhash-max-ziplist-entries\r\n$3\r\n512\r\n$22\r\nhash-max-ziplist-value\r\n$2\r\n64\r\n"),
            ("CONFIG SET hash-max-listpack-entries 1", "+OK\r\n"),
            ("CONFIG GET hash-max-listpack-entries", "*2\r\n$25\r\nhash-max-listpack-entries\r\n$3\r\n512\r\n"),
            ("CONFIG SET hash-max-listpack-entries -1", "-ERR CONFIG SET failed (possibly related to argument 'hash-max-listpack-entries') - argument must be between 0 and 9223372036854775807 inclusive\r\n"),
            ("CONFIG SET list-max-listpack-size x", "-ERR CONFIG SET failed (possibly related to argument 'list-max-listpack-size') - argument couldn't be parsed into an integer\r\n"),
            ("PFSELFTEST", "+OK\r\n"),
            ("CONFIG SET nosuch 1", "-ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'\r\n"),
            ("CONFIG SET databases 3", "-ERR CONFIG SET failed (possibly related to argument 'databases') - can't set immutable config\r\n"),
            ("CONFIG SET slowlog-log-slower-than 0", "+OK\r\n"),
            ("SET a 1", "+OK\r\n"),
            ("CONFIG SET requirepass pw", "+OK\r\n"),
            ("GET a", "$1\r\n1\r\n"),
        ],
    )
    .await;
    let slow = client.run("SLOWLOG GET").await;
    assert!(
        slow.contains("$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n"),
        "{slow}"
    );
    assert_eq!(client.run("SLOWLOG RESET").await, "+OK\r\n");
    let mut other = Client::connect(proxy.addr).await;
    assert_eq!(
        other.run("GET a").await,
        "-NOAUTH Authentication required.\r\n"
    );
    assert_eq!(other.run("AUTH pw").await, "+OK\r\n");
    proxy.shutdown().await;
}

#[tokio::test]
async fn there_is_nothing_to_save_and_nobody_to_shut_down() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    let refused = "-ERR Command not allowed inside a transaction\r\n";
    let no_shutdown = "-ERR SHUTDOWN is refused: other clients use this proxy. Stop its process with \
        SIGTERM\r\n";
    expect(
        &mut client,
        &[
            ("SAVE", "+OK\r\n"),
            ("BGSAVE", "+Background saving started\r\n"),
            ("BGSAVE schedule", "+Background saving started\r\n"),
            ("BGSAVE now", "-ERR syntax error\r\n"),
            (
                "BGREWRITEAOF",
                "+Background append only file rewriting started\r\n",
            ),
            ("SHUTDOWN", no_shutdown),
            ("SHUTDOWN NOSAVE NOW FORCE", no_shutdown),
            ("SHUTDOWN ABORT", "-ERR No shutdown in progress.\r\n"),
            ("SHUTDOWN ABORT NOW", "-ERR syntax error\r\n"),
            ("SHUTDOWN SAVE NOSAVE", "-ERR syntax error\r\n"),
            ("SHUTDOWN later", "-ERR syntax error\r\n"),
            ("MULTI", "+OK\r\n"),
            ("BGSAVE", "+QUEUED\r\n"),
            ("SAVE", refused),
            ("SHUTDOWN", refused),
            ("DISCARD", "+OK\r\n"),
            ("PING", "+PONG\r\n"),
        ],
    )
    .await;
    proxy.shutdown().await;
}

#[tokio::test]
async fn an_idle_client_is_closed() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("--timeout 1s").await;
    let mut client = Client::connect(proxy.addr).await;
    assert_eq!(client.run("PING").await, "+PONG\r\n");
    let closed = tokio::time::timeout(Duration::from_secs(10), client.rest()).await;
    assert_eq!(closed.as_deref(), Ok(""));
    proxy.shutdown().await;
}

#[tokio::test]
async fn the_cluster_is_shown_and_administered() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    client.run("SET a 1").await;
    let info = client.run("INFO").await;
    for section in [
        "# Server",
        "redis_version:7.2",
        "# Clients",
        "# Stats",
        "# Replication",
        "# Coterie",
        "ranges:2",
        "db0:keys=1",
    ] {
        assert!(info.contains(section), "{section} in {info}");
    }
    for line in [
        "COTERIE NODES",
        "COTERIE GROUPS",
        "COTERIE RANGES",
        "COTERIE JOBS",
        "COTERIE HELP",
        "CLUSTER SLOTS",
        "CLUSTER SHARDS",
        "COMMAND",
        "COMMAND DOCS",
        "MEMORY STATS",
        "COTERIE TABLE LIST",
        "INFO everything",
    ] {
        let reply = client.run(line).await;
        assert!(!reply.starts_with('-'), "{line}: {reply}");
    }
    let located = client.run("COTERIE LOCATE a").await;
    assert!(
        located.contains("$5\r\ngroup\r\n:1\r\n") && located.contains("$6\r\nleader\r\n:1\r\n"),
        "{located}"
    );
    expect(
        &mut client,
        &[
            ("COTERIE LEADER 1 3", "+OK\r\n"),
            ("SET a 2", "+OK\r\n"),
            ("COTERIE SETTING SET balance off", "+OK\r\n"),
            ("COTERIE TABLE CREATE orders", ":100\r\n"),
            (
                "COTERIE FOO",
                "-ERR unknown subcommand or wrong number of arguments for 'FOO'. Try COTERIE HELP.\r\n",
            ),
            ("WAIT 2 1000", ":2\r\n"),
            ("WAIT 0 0", ":1\r\n"),
            ("DEBUG SLEEP 0.01", "+OK\r\n"),
        ],
    )
    .await;
    assert_eq!(cluster.group(1, |group| group.leader.0), 3);
    loop {
        if client.run("COTERIE SETTING GET balance").await == "$3\r\noff\r\n" {
            break;
        }
    }
    assert_eq!(client.run("SELECT orders").await, "+OK\r\n");
    proxy.shutdown().await;
}
