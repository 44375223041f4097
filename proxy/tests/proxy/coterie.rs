//! `COTERIE`: the lists and requests of operators.

use std::time::{Duration, Instant};

use bytes::Bytes;
use coterie_protocol::catalog::{JobDescriptor, JobState, Progress, Row, Wish};
use coterie_protocol::meta::{Heartbeat, NodeLiveness};
use coterie_protocol::server::{HotKey, RangeLoad, ReplicaStatus};
use coterie_types::{
    GroupId, JobId, LogIndex, NodeDescriptor, NodeId, NodeState, RangeId, TableId, Term, UnixMillis,
};

use crate::support::{Client, Cluster, group_row, range, wait_until};

/// Asks until the reply shows that the proxy's copy of the catalog has caught up.
async fn until(client: &mut Client, line: &str, holds: impl Fn(&str) -> bool) -> String {
    loop {
        let reply = client.run(line).await;
        if holds(&reply) {
            return reply;
        }
    }
}

/// The words of the reply in a line.
fn words(reply: &str) -> String {
    let words = reply
        .split("\r\n")
        .filter(|word| !word.starts_with(['$', '*']));
    words.collect::<Vec<_>>().join(" ")
}

fn status(group: u64, node: u64, leads: bool) -> ReplicaStatus {
    ReplicaStatus {
        group_id: GroupId(group),
        term: Term(3),
        leader: leads.then_some(NodeId(node)),
        serving: leads,
        last_index: LogIndex(10),
        last_term: Term(1),
        applied_index: LogIndex(10),
        ..ReplicaStatus::default()
    }
}

fn live(node: u64, replicas: Vec<ReplicaStatus>) -> NodeLiveness {
    NodeLiveness {
        heartbeat: Heartbeat {
            node_id: NodeId(node),
            addr: String::new(),
            disk_used_bytes: 1,
            disk_free_bytes: 2,
            replicas,
            stopping: false,
            log_write_micros: 700 + node,
            apply_micros: 30 + node,
            answer_micros: vec![],
        },
        age_ms: 5,
    }
}

fn load(range: u64, reads: u64, writes: u64, hot: Option<(&'static str, u16)>) -> RangeLoad {
    RangeLoad {
        range_id: RangeId(range),
        size_bytes: 1 << 20,
        reads_per_second: reads,
        writes_per_second: writes,
        bytes_per_second: 5000,
        cpu_micros_per_second: 600,
        latency_micros: 900,
        split_point: None,
        hot_key: hot.map(|(key, permille)| HotKey {
            key: Bytes::from_static(key.as_bytes()),
            permille,
        }),
    }
}

#[tokio::test]
async fn wishes_become_jobs_and_mistakes_are_named() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    client.run("SET a 1").await;
    let exchange = [
        ("COTERIE SPLIT 0 f", ":1\r\n"),
        ("COTERIE MERGE db0 f", ":2\r\n"),
        ("COTERIE MOVE 0 f GROUP 2", ":3\r\n"),
        ("COTERIE MOVE 0 f GROUP NEW", ":4\r\n"),
        ("coterie move db0 f new", ":5\r\n"),
        ("COTERIE REPLACE 1 3", ":6\r\n"),
        ("COTERIE SPLIT orders f", "-ERR no such table 'orders'\r\n"),
        ("COTERIE MERGE 99 f", "-ERR no such table '99'\r\n"),
        (
            "COTERIE SPLIT 0 ",
            "-ERR a range is not split at the empty key\r\n",
        ),
        ("COTERIE MOVE 0 f GROUP 9", "-ERR no such group '9'\r\n"),
        (
            "COTERIE MOVE 0 f GROUP x",
            "-ERR value is not an integer or out of range\r\n",
        ),
        ("COTERIE MOVE 0 f TO 2", "-ERR syntax error\r\n"),
        ("COTERIE MOVE 0 f 2", "-ERR syntax error\r\n"),
        (
            "COTERIE REPLACE 1 9",
            "-ERR the node has no replica of the group\r\n",
        ),
        (
            "COTERIE SPLIT 0",
            "-ERR unknown subcommand or wrong number of arguments for 'SPLIT'. Try COTERIE HELP.\r\n",
        ),
    ];
    for (line, expected) in exchange {
        assert_eq!(client.run(line).await, expected, "{line}");
    }
    let (table, key) = (TableId(0), Bytes::from_static(b"f"));
    let to = |to| Wish::Move {
        table,
        key: key.clone(),
        to,
    };
    let expected = [
        Wish::Split {
            table,
            at: key.clone(),
        },
        Wish::Merge {
            table,
            key: key.clone(),
        },
        to(Some(GroupId(2))),
        to(None),
        to(None),
        Wish::Replace {
            group_id: GroupId(1),
            node_id: NodeId(3),
        },
    ];
    assert_eq!(*cluster.wishes.lock().unwrap(), expected);
    proxy.shutdown().await;
}

#[tokio::test]
async fn the_number_of_a_job_is_known_as_soon_as_it_is_answered() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    client.run("SET a 1").await;
    // For now meta tells the proxy nothing: it answers no question and sends no catalog.
    let away = Some(Instant::now() + Duration::from_secs(3600));
    cluster.meta_away.lock().unwrap().0 = away;
    cluster.copies_wait.send_replace(true);
    client.send("COTERIE SPLIT 0 f\r\nCOTERIE JOBS 1\r\n").await;
    wait_until(|| !cluster.wishes.lock().unwrap().is_empty()).await;
    cluster.copies_wait.send_replace(false);
    assert_eq!(client.reply().await, ":1\r\n");
    let reply = words(&client.reply().await);
    assert!(reply.contains("id :1 kind wish state running"), "{reply}");
    assert_eq!(cluster.meta_away.lock().unwrap().1, 0, "nobody had to ask");
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_proxy_asks_meta_for_a_job_that_is_newer_than_its_copy() {
    let cluster = Cluster::of_two();
    let one = cluster.proxy("").await;
    let two = cluster.proxy("").await;
    let mut client = Client::connect(one.addr).await;
    let mut other = Client::connect(two.addr).await;
    client.run("SET a 1").await;
    other.run("SET a 1").await;
    cluster.copies_wait.send_replace(true);
    // The proxy returns the number even if its copy of the catalog lags behind.
    assert_eq!(client.run("COTERIE MERGE 0 f").await, ":1\r\n");
    for client in [&mut client, &mut other] {
        assert_eq!(client.run("COTERIE JOBS").await, "*0\r\n");
        let reply = words(&client.run("COTERIE JOBS 1").await);
        assert!(reply.contains("id :1 kind wish state running"), "{reply}");
        let reply = client.run("COTERIE JOBS 2").await;
        assert_eq!(reply, "-ERR no such job '2'\r\n");
    }
    one.shutdown().await;
    two.shutdown().await;
}

#[tokio::test]
async fn settings_are_known_by_name_and_kind() {
    let cluster = Cluster::of_two();
    cluster.publish(vec![Row::Setting("older".to_owned(), "x".to_owned())]);
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    client.run("SET a 1").await;
    for (line, expected) in [
        (
            "COTERIE SETTING SET balence off",
            "-ERR no such setting 'balence'; there is: balance\r\n",
        ),
        (
            "COTERIE SETTING SET balance nonsense",
            "-ERR setting 'balance' is on or off, not 'nonsense'\r\n",
        ),
        (
            "COTERIE SETTING SET ",
            "-ERR no such setting ''; there is: balance\r\n",
        ),
        ("COTERIE SETTING SET", "-ERR syntax error\r\n"),
        ("COTERIE SETTING GET balance x", "-ERR syntax error\r\n"),
        ("COTERIE SETTING GET balance", "$2\r\non\r\n"),
        ("COTERIE SETTING SET balance OFF", "+OK\r\n"),
        ("COTERIE SETTING GET balance", "$3\r\noff\r\n"),
        ("COTERIE BALANCE", "$3\r\noff\r\n"),
        ("COTERIE SETTING SET balance", "+OK\r\n"),
        ("COTERIE SETTING GET balance", "$2\r\non\r\n"),
        (
            "COTERIE SETTING GET nosuch",
            "-ERR no such setting 'nosuch'; there is: balance\r\n",
        ),
        // A setting of another version can be read and removed, but not set.
        ("COTERIE SETTING GET older", "$1\r\nx\r\n"),
        (
            "COTERIE SETTING SET older y",
            "-ERR no such setting 'older'; there is: balance\r\n",
        ),
    ] {
        assert_eq!(client.run(line).await, expected, "{line}");
    }
    let reply = words(&client.run("COTERIE SETTING GET").await);
    assert_eq!(
        reply.trim(),
        "name balance value on default on values on or off \
         meaning whether the controller evens out ranges and leaders \
         name older value x meaning not known to this version"
    );
    assert_eq!(client.run("COTERIE SETTING SET older").await, "+OK\r\n");
    assert!(cluster.settings().is_empty());
    let word: &[&[u8]] = &[b"COTERIE", b"SETTING", b"SET", b"balance", b"\xff\r\n"];
    client.send(crate::support::client::command(word)).await;
    assert_eq!(
        client.reply().await,
        "-ERR setting 'balance' is on or off, not '\\xff\\r\\n'\r\n"
    );
    let word: &[&[u8]] = &[b"COTERIE", b"TABLE", b"CREATE", b"a\xff"];
    client.send(crate::support::client::command(word)).await;
    assert_eq!(client.reply().await, "-ERR 'a\\xff' is no UTF-8 text\r\n");
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_table_begins_with_boundaries() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    let binary: &[&[u8]] = &[
        b"COTERIE",
        b"TABLE",
        b"CREATE",
        b"orders",
        b"SPLIT",
        b"\xff\x00\r\n",
        b"b",
        b"a",
        b"b",
    ];
    client.send(crate::support::client::command(binary)).await;
    assert_eq!(client.reply().await, ":100\r\n");
    let boundaries: [&[u8]; 3] = [b"a", b"b", b"\xff\x00\r\n"];
    assert_eq!(cluster.boundaries("orders"), boundaries);
    for table in ["100", "orders"] {
        let line = format!("COTERIE RANGES {table}");
        until(&mut client, &line, |reply| reply == "*0\r\n").await;
    }
    let refused = [
        ("COTERIE TABLE CREATE t SPLIT", "-ERR syntax error\r\n"),
        ("COTERIE TABLE CREATE t CUT a", "-ERR syntax error\r\n"),
        ("COTERIE TABLE DROP t SPLIT a", "-ERR syntax error\r\n"),
        (
            "COTERIE TABLE CREATE t SPLIT a ",
            "-ERR a table is not split at the empty key\r\n",
        ),
    ];
    for (line, expected) in refused {
        assert_eq!(client.run(line).await, expected, "{line}");
    }
    proxy.shutdown().await;
}

#[tokio::test]
async fn balance_is_a_setting() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    assert_eq!(client.run("COTERIE BALANCE").await, "$2\r\non\r\n");
    assert_eq!(client.run("COTERIE BALANCE OFF").await, "+OK\r\n");
    until(&mut client, "COTERIE BALANCE", |reply| {
        reply == "$3\r\noff\r\n"
    })
    .await;
    assert_eq!(client.run("COTERIE BALANCE on").await, "+OK\r\n");
    until(&mut client, "COTERIE BALANCE", |reply| {
        reply == "$2\r\non\r\n"
    })
    .await;
    assert_eq!(
        client.run("COTERIE BALANCE x").await,
        "-ERR syntax error\r\n"
    );
    assert_eq!(cluster.settings()["balance"], "on");
    proxy.shutdown().await;
}

#[tokio::test]
async fn nodes_say_who_is_spare_and_who_may_be_stopped() {
    let cluster = Cluster::of_two();
    let node = |id, state| {
        Row::Node(NodeDescriptor {
            node_id: NodeId(id),
            addr: format!("10.0.0.{id}:7000"),
            zone: String::new(),
            host: format!("machine-{id}"),
            capacity_bytes: 0,
            state,
        })
    };
    cluster.publish(vec![
        node(3, NodeState::Draining),
        node(4, NodeState::Up),
        node(5, NodeState::Draining),
        node(6, NodeState::Draining),
        node(7, NodeState::Draining),
    ]);
    *cluster.heard.lock().unwrap() = vec![
        live(1, vec![status(1, 1, true)]),
        live(3, vec![]),
        live(4, vec![]),
        live(5, vec![]),
        // A left-over replica of a group that has forgotten it.
        live(6, vec![status(9, 6, false)]),
    ];
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    let reply = until(&mut client, "COTERIE NODES", |reply| {
        reply.contains(":7\r\n")
    })
    .await;
    let reply = words(&reply);
    let of = |id: u64| {
        let from = reply.find(&format!("id :{id} ")).unwrap();
        reply[from..].split(" id :").next().unwrap().to_owned()
    };
    assert!(
        of(1).contains("state up") && of(1).contains("spare no"),
        "{}",
        of(1)
    );
    assert!(
        of(1).contains("log_write_us :701 apply_us :31"),
        "{}",
        of(1)
    );
    assert!(of(4).contains("spare yes"), "{}", of(4));
    assert!(of(4).contains("host machine-4"), "{}", of(4));
    assert!(
        of(3).contains("safe_to_stop no"),
        "groups name it: {}",
        of(3)
    );
    assert!(of(5).contains("safe_to_stop yes"), "{}", of(5));
    assert!(of(6).contains("safe_to_stop no"), "it holds one: {}", of(6));
    assert!(of(7).contains("safe_to_stop no"), "not heard: {}", of(7));
    proxy.shutdown().await;
}

#[tokio::test]
async fn ranges_show_their_load_and_where_they_come_from() {
    let cluster = Cluster::of_two();
    let mut leads_one = status(1, 1, true);
    leads_one.loads = vec![load(1, 1000, 200, Some(("cat", 250)))];
    let mut leads_two = status(2, 2, true);
    leads_two.loads = vec![load(2, 10_000, 0, Some(("zoo", 900)))];
    leads_two.importing = vec![RangeId(2)];
    // The previous leader still reports that it leads.
    let mut led_two = status(2, 3, true);
    led_two.term = Term(2);
    led_two.loads = vec![load(2, 1, 1, None)];
    let mut had_two = status(1, 2, false);
    had_two.frozen = vec![range(2, 1, "m", "", 2)];
    *cluster.heard.lock().unwrap() = vec![
        live(1, vec![leads_one]),
        live(2, vec![leads_two, had_two]),
        live(3, vec![led_two]),
    ];
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    client.run("SET a 1").await;
    let reply = words(&client.run("COTERIE RANGES db0").await);
    let (first, second) = reply.split_at(reply.find("id :2").unwrap());
    for expected in [
        "size_bytes :1048576",
        "reads_per_second :1000",
        "writes_per_second :200",
        "bytes_per_second :5000",
        "cpu_us_per_second :600",
        "hot_key cat",
        "hot_key_permille :250",
    ] {
        assert!(first.contains(expected), "{expected} in {first}");
    }
    assert!(!first.contains("importing_from"), "{first}");
    assert!(second.contains("reads_per_second :10000"), "{second}");
    assert!(second.contains("importing_from :1"), "{second}");
    assert_eq!(client.run("COTERIE RANGES 1").await, "*0\r\n");
    assert_eq!(
        client.run("COTERIE RANGES nosuch").await,
        "-ERR no such table 'nosuch'\r\n"
    );

    let reply = words(&client.run("COTERIE HOTKEYS").await);
    assert_eq!(
        reply.trim(),
        "table :0 key zoo range :2 group :2 permille :900 ops_per_second :9000 \
         table :0 key cat range :1 group :1 permille :250 ops_per_second :300"
    );
    let reply = words(&client.run("COTERIE HOTKEYS 1").await);
    assert!(reply.contains("zoo") && !reply.contains("cat"), "{reply}");
    assert_eq!(
        client.run("COTERIE HOTKEYS x").await,
        "-ERR value is not an integer or out of range\r\n"
    );
    proxy.shutdown().await;
}

#[tokio::test]
async fn jobs_show_how_far_they_are() {
    let cluster = Cluster::of_two();
    let job = JobDescriptor {
        job_id: JobId(7),
        kind: "move".to_owned(),
        step: Bytes::new(),
        wish: None,
        progress: Some(Progress {
            bytes: 100,
            bytes_total: 1100,
            bytes_per_second: 50,
        }),
        effect: None,
        state: JobState::Running,
        log: vec!["because".to_owned(), "copy range 1".to_owned()],
        started_at: UnixMillis(1),
    };
    cluster.publish(vec![group_row(3), Row::Job(job)]);
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    let reply = until(&mut client, "COTERIE JOBS", |reply| reply != "*0\r\n").await;
    assert_eq!(
        words(&reply).trim(),
        "id :7 kind move state running started_at_ms :1 reason because last copy range 1 \
         bytes :100 bytes_total :1100 bytes_per_second :50 seconds_left :20"
    );
    let reply = words(&client.run("COTERIE JOBS 7").await);
    assert!(
        reply.trim().ends_with("log because copy range 1"),
        "{reply}"
    );
    assert_eq!(
        client.run("COTERIE JOBS 8").await,
        "-ERR no such job '8'\r\n"
    );
    let info = client.run("INFO coterie").await;
    for line in ["jobs_running:1", "jobs_copying:1", "groups:3", "nodes_up:3"] {
        assert!(info.contains(line), "{line} in {info}");
    }
    proxy.shutdown().await;
}
