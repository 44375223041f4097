//! Clients that leave while their commands wait or run: their connections end, and none of their
//! commands begins any more. Clients that only stopped sending still get their replies.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncWriteExt;

use crate::support::client::command;
use crate::support::{Client, Cluster, Fault, listed, range, wait_until};

/// Counts the clients other than itself.
struct Observer(Client);

impl Observer {
    async fn connect(addr: SocketAddr) -> Observer {
        Observer(Client::connect(addr).await)
    }

    async fn count(&mut self) -> usize {
        listed(&mut self.0).await.len() - 1
    }

    /// A field of the only other client, if it is connected.
    async fn field(&mut self, name: &str) -> Option<String> {
        let others = listed(&mut self.0).await.into_iter();
        let mut others = others.filter(|fields| fields["cmd"] != "client|list");
        others.next()?.remove(name)
    }

    /// A value of INFO clients.
    async fn info(&mut self, name: &str) -> usize {
        let info = self.0.run("INFO clients").await;
        let mut lines = info.lines().filter_map(|line| line.split_once(':'));
        let (_, value) = lines.find(|(known, _)| *known == name).expect("the line");
        value.trim().parse().expect("a number")
    }

    /// Waits until there are `count` other clients, for less time than any of their commands would
    /// take.
    async fn wait_for(&mut self, count: usize) {
        let met = async {
            while self.count().await != count {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let within = tokio::time::timeout(Duration::from_secs(5), met).await;
        within.unwrap_or_else(|_| panic!("there are not {count} clients"));
    }

    async fn wait_until_runs(&mut self, command: &str) {
        while self.field("cmd").await.as_deref() != Some(command) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// How a client leaves.
#[derive(Debug, Clone, Copy)]
enum Leaves {
    /// It closes its socket.
    Closes,
    /// It closes its socket while the proxy has not read all bytes.
    ClosesBehindMore,
    /// It resets its connection.
    Resets,
    /// It shuts down its sending side.
    SendsNoMore,
}

const WAYS: [Leaves; 4] = [
    Leaves::Closes,
    Leaves::ClosesBehindMore,
    Leaves::Resets,
    Leaves::SendsNoMore,
];

impl Leaves {
    /// Leaves. Returns the client if it must be kept, because its socket stays open.
    async fn leave(self, mut client: Client) -> Option<Client> {
        match self {
            Leaves::Closes => None,
            Leaves::ClosesBehindMore => {
                client.send("INCR behind\r\n".repeat(5000)).await;
                None
            }
            Leaves::Resets => {
                socket2::SockRef::from(&client.stream)
                    .set_linger(Some(Duration::ZERO))
                    .expect("sets");
                None
            }
            Leaves::SendsNoMore => {
                client.stream.shutdown().await.expect("shuts down");
                Some(client)
            }
        }
    }
}

/// Sends `lines`, and leaves once `command` runs or waits. Other clients do not notice.
async fn leaves_during(cluster: &Cluster, addr: SocketAddr, lines: &str, command: &str) {
    let mut observer = Observer::connect(addr).await;
    for way in WAYS {
        let mut client = Client::connect(addr).await;
        client.send(lines).await;
        observer.wait_until_runs(command).await;
        let left = way.leave(client).await;
        observer.wait_for(0).await;
        drop(left);
    }
    for group in [1, 2] {
        cluster.group(group, |group| {
            let behind = group.executed.concat();
            assert!(
                !behind.iter().any(|line| line == "INCR behind"),
                "{behind:?}"
            );
        });
    }
}

#[tokio::test]
async fn a_client_leaves_while_it_sleeps_waits_or_runs_alone() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("--request-timeout 60s").await;
    let cases = [
        ("DEBUG SLEEP 1000\r\n", "debug"),
        ("SET a 1\r\nWAIT 5 0\r\n", "wait"),
        ("DEBUG SLEEP 1000\r\nSET a 2\r\n", "debug"),
    ];
    for (lines, command) in cases {
        leaves_during(&cluster, proxy.addr, lines, command).await;
    }
    let executed = cluster.group(1, |group| group.executed.concat());
    assert!(!executed.contains(&"SET a 2".to_owned()), "{executed:?}");
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_client_leaves_while_groups_are_silent() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("--request-timeout 60s").await;
    let cases = [
        ("KEYS *\r\n", "keys"),
        ("SCAN 0\r\n", "scan"),
        ("DBSIZE\r\n", "dbsize"),
        ("FLUSHALL\r\n", "flushall"),
        ("SET a 1\r\nDBSIZE\r\n", "dbsize"),
        ("GET a\r\n", "get"),
        ("SET a 1\r\nSET z 1\r\nSET b 1\r\n", "set"),
        ("MULTI\r\nSET a 1\r\nECHO x\r\nEXEC\r\nPING\r\n", "exec"),
        ("WATCH a\r\nMULTI\r\nSET a 1\r\nEXEC\r\n", "exec"),
    ];
    for (lines, command) in cases {
        // Every attempt is met by silence.
        for group in [1, 2] {
            cluster.group(group, |group| group.faults = [Fault::Silence; 100].into());
        }
        leaves_during(&cluster, proxy.addr, lines, command).await;
    }
    proxy.shutdown().await;
}

#[tokio::test]
async fn what_waited_for_a_leader_is_not_sent_for_a_client_that_left() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("--request-timeout 60s").await;
    let mut observer = Observer::connect(proxy.addr).await;
    cluster.group(1, |group| group.faults = [Fault::NoLeader; 1000].into());
    let mut client = Client::connect(proxy.addr).await;
    // More commands than may be unanswered: the proxy stops reading from the client.
    client.send("INCR a\r\n".repeat(6000)).await;
    wait_until(|| cluster.group(1, |group| group.seen.len() > 2)).await;
    drop(client);
    observer.wait_for(0).await;
    cluster.group(1, |group| group.faults.clear());
    assert_eq!(observer.0.run("INCR a").await, ":1\r\n");
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_client_leaves_while_no_map_knows_its_keys() {
    let cluster = Cluster::new(vec![range(1, 1, "m", "", 1)]);
    let proxy = cluster.proxy("--request-timeout 60s").await;
    let mut observer = Observer::connect(proxy.addr).await;
    for way in WAYS {
        let mut client = Client::connect(proxy.addr).await;
        client.send("SET a 1\r\nSET z 1\r\n").await;
        observer.wait_until_runs("set").await;
        let left = way.leave(client).await;
        observer.wait_for(0).await;
        drop(left);
    }
    cluster.publish(vec![coterie_protocol::catalog::Row::Range(range(
        2, 1, "", "m", 1,
    ))]);
    let executed = cluster.group(1, |group| group.executed.concat());
    assert!(executed.is_empty(), "{executed:?}");
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_command_that_a_pause_holds_back_goes_with_its_client() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut observer = Observer::connect(proxy.addr).await;
    assert_eq!(
        observer.0.run("CLIENT PAUSE 1000000 WRITE").await,
        "+OK\r\n"
    );
    let mut paused = Vec::new();
    for at in 0..100 {
        let mut client = Client::connect(proxy.addr).await;
        match at % 2 {
            0 => client.put("INCR a").await,
            _ => client.send("MULTI\r\nINCR a\r\nEXEC\r\nINCR a\r\n").await,
        }
        paused.push(client);
    }
    while observer.info("blocked_clients").await != 100 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(observer.info("clients_in_timeout_table").await, 0);
    let mut stays = paused.pop().expect("a client");
    for (client, way) in paused.into_iter().zip(WAYS.iter().cycle()) {
        way.leave(client).await;
    }
    observer.wait_for(1).await;
    assert_eq!(observer.info("blocked_clients").await, 1);
    assert_eq!(observer.field("flags").await.as_deref(), Some("xb"));
    assert_eq!(observer.field("cmd").await.as_deref(), Some("incr"));
    assert_eq!(observer.0.run("GET a").await, "$-1\r\n", "reads go on");
    assert_eq!(observer.0.run("CLIENT UNPAUSE").await, "+OK\r\n");
    for expected in ["+OK\r\n", "+QUEUED\r\n", "*1\r\n:1\r\n", ":2\r\n"] {
        assert_eq!(stays.reply().await, expected);
    }
    assert_eq!(observer.info("blocked_clients").await, 0);
    proxy.shutdown().await;
}

#[tokio::test]
async fn what_came_before_the_end_is_answered() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let cases = [
        ("SET a 1\r\nGET a\r\n", "+OK\r\n$1\r\n1\r\n"),
        ("DBSIZE\r\nKEYS a\r\n", ":1\r\n*1\r\n$1\r\na\r\n"),
        ("DEBUG SLEEP 0.01\r\nINCR a\r\n", "+OK\r\n:2\r\n"),
        (
            "MULTI\r\nINCR a\r\nECHO x\r\nEXEC\r\nPING\r\n",
            "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:3\r\n$1\r\nx\r\n+PONG\r\n",
        ),
        (
            "DEBUG SLEEP 0\r\nGET a\r\nQUIT\r\nGET a\r\n",
            "+OK\r\n$1\r\n3\r\n+OK\r\n",
        ),
    ];
    for (lines, expected) in cases {
        let mut client = Client::connect(proxy.addr).await;
        client.send(lines).await;
        client.stream.shutdown().await.unwrap();
        assert_eq!(client.rest().await, expected, "{lines}");
    }
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_long_pipeline_is_carried_out_to_its_end_though_that_has_come() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let client = Client::connect(proxy.addr).await;
    let (mut reading, mut writing) = client.stream.into_split();
    // Twenty times as many commands as may be unanswered, and among them commands that run alone.
    let line = format!("{}DBSIZE\r\n", "INCR a\r\n".repeat(1000));
    let sending = tokio::spawn(async move {
        writing.write_all(line.repeat(80).as_bytes()).await.unwrap();
        writing.shutdown().await.unwrap();
    });
    let mut replies = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut reading, &mut replies)
        .await
        .unwrap();
    sending.await.unwrap();
    assert_eq!(replies.lines().count(), 80 * 1001);
    assert!(replies.ends_with(":80000\r\n:1\r\n"));
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_client_that_sends_no_more_and_takes_nothing_is_closed() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut observer = Observer::connect(proxy.addr).await;
    let value = vec![b'v'; 1 << 20];
    let mut client = Client::connect(proxy.addr).await;
    client.send(command(&[b"SET", b"a", &value])).await;
    assert_eq!(client.reply().await, "+OK\r\n");
    client.send("GET a\r\n".repeat(20)).await;
    client.stream.shutdown().await.unwrap();
    let met = async {
        while observer.count().await > 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), met)
        .await
        .expect("it is closed");
    drop(client);
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_client_that_is_idle_with_unread_replies_is_closed_like_any_other() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("--timeout 1s").await;
    let mut client = Client::connect(proxy.addr).await;
    let value = vec![b'v'; 1 << 20];
    client.send(command(&[b"SET", b"a", &value])).await;
    assert_eq!(client.reply().await, "+OK\r\n");
    client.send("GET a\r\n".repeat(20)).await;
    let closed = async {
        loop {
            let mut observer = Observer::connect(proxy.addr).await;
            if observer.count().await == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), closed)
        .await
        .expect("it is closed");
    proxy.shutdown().await;
}
