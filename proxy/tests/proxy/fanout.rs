//! Commands over several groups, and over all ranges.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use coterie_protocol::catalog::{Row, RowKey};
use coterie_types::{Epoch, GroupId, RangeDescriptor};

use super::pipelines::wait_until;
use crate::support::{Client, Cluster, Fault, group_row, range};

pub(super) fn strings(reply: &str) -> Vec<String> {
    reply
        .split("\r\n")
        .filter(|line| !line.starts_with(['*', '$', ':']) && !line.is_empty())
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn keys_of_several_groups_are_gathered_in_order() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    assert_eq!(client.run("MSET z 26 a 1 b 2 y 25").await, "+OK\r\n");
    let reply = client.run("MGET y a nokey z b").await;
    assert_eq!(
        reply,
        "*5\r\n$2\r\n25\r\n$1\r\n1\r\n$-1\r\n$2\r\n26\r\n$1\r\n2\r\n"
    );
    assert_eq!(client.run("EXISTS a z a nokey").await, ":3\r\n");
    assert_eq!(client.run("DEL a z nokey").await, ":2\r\n");
    assert_eq!(client.run("DBSIZE").await, ":2\r\n");
    assert_eq!(client.run("KEYS *").await, "*2\r\n$1\r\nb\r\n$1\r\ny\r\n");
    assert_eq!(client.run("FLUSHDB").await, "+OK\r\n");
    assert_eq!(client.run("DBSIZE").await, ":0\r\n");
    assert_eq!(client.run("RANDOMKEY").await, "$-1\r\n");
    client.run("SET x 1").await;
    assert_eq!(client.run("RANDOMKEY").await, "$1\r\nx\r\n");
    assert_eq!(client.run("FLUSHALL ASYNC").await, "+OK\r\n");
    assert_eq!(client.run("FLUSHALL NOW").await, "-ERR syntax error\r\n");
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_write_done_in_part_is_unknown_and_an_error_is_the_answer() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("--request-timeout 200ms").await;
    let mut client = Client::connect(proxy.addr).await;
    cluster.faults(2, &[Fault::NoLeader; 1000]);
    let reply = client.run("MSET a 1 z 1").await;
    assert!(reply.starts_with("-UNKNOWN"), "{reply}");
    let reply = client.run("MGET a z").await;
    assert!(reply.starts_with("-TRYAGAIN"), "{reply}");
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_key_without_its_value_is_refused_as_redis_does_wherever_the_keys_are() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    // One group, several, several by the word without a value, and none of it is done.
    for line in ["MSET a 1 b", "MSET a 1 z 1 b", "MSET a 1 z", "mSeT a"] {
        let expected = "-ERR wrong number of arguments for 'mset' command\r\n";
        assert_eq!(client.run(line).await, expected, "{line}");
    }
    let expected = "-ERR wrong number of arguments for 'msetnx' command\r\n";
    for line in ["MSETNX a 1 b", "MSETNX a 1 z"] {
        assert_eq!(client.run(line).await, expected, "{line}");
    }
    assert_eq!(client.run("EXISTS a b z").await, ":0\r\n");
    proxy.shutdown().await;
}

/// One page of SCAN: where to go on, and its keys.
pub(super) async fn scan_page(
    client: &mut Client,
    cursor: &str,
    count: usize,
) -> (String, Vec<String>) {
    let reply = client.run(&format!("SCAN {cursor} COUNT {count}")).await;
    let mut words = strings(&reply).into_iter();
    let next = words.next().expect("a cursor");
    (next, words.collect())
}

/// Reads all keys by SCAN; how often each came, and in how many pages.
async fn scan(client: &mut Client, options: &str) -> (BTreeMap<String, usize>, usize) {
    let (mut cursor, mut seen, mut pages) = ("0".to_owned(), BTreeMap::new(), 0);
    loop {
        let reply = client.run(&format!("SCAN {cursor}{options}")).await;
        let mut words = strings(&reply).into_iter();
        cursor = words.next().expect("a cursor");
        for key in words {
            *seen.entry(key).or_default() += 1;
        }
        pages += 1;
        if cursor == "0" {
            return (seen, pages);
        }
        assert!(cursor.parse::<u64>().unwrap() < 1 << 53);
    }
}

#[tokio::test]
async fn scan_returns_each_key_once_on_any_proxy_and_across_splits() {
    let cluster = Cluster::new(vec![range(1, 1, "", "", 1)]);
    let (first, second) = (cluster.proxy("").await, cluster.proxy("").await);
    let mut client = Client::connect(first.addr).await;
    let mut sent = String::new();
    for at in 0..500 {
        sent.push_str(&format!("SET key:{at:012} 1\r\nSET user:{at} 1\r\n"));
    }
    client.send(sent).await;
    for _ in 0..1000 {
        client.reply().await;
    }
    let (seen, pages) = scan(&mut client, " COUNT 50").await;
    assert_eq!((seen.len(), seen.values().max()), (1000, Some(&1)));
    assert!(pages > 10, "{pages}");
    let (seen, _) = scan(&mut client, " COUNT 7 MATCH user:1*").await;
    assert_eq!(seen.len(), 111);
    assert_eq!(scan(&mut client, " TYPE list").await.0.len(), 0);
    assert_eq!(client.run("SCAN x").await, "-ERR invalid cursor\r\n");

    // Half-way, the range is cut in three, and another proxy goes on.
    let mut seen = BTreeMap::<String, usize>::new();
    let mut cursor = "0".to_owned();
    let mut other = Client::connect(second.addr).await;
    for page in 0.. {
        if page == 3 {
            let cut = vec![
                range(1, 2, "", "user:2", 1),
                range(2, 2, "user:2", "user:31", 1),
                range(3, 2, "user:31", "", 1),
            ];
            cluster.hand_over(1, cut.clone());
            cluster.publish(cut.into_iter().map(Row::Range).collect());
        }
        let client = if page % 2 == 0 {
            &mut client
        } else {
            &mut other
        };
        let reply = client.run(&format!("SCAN {cursor} COUNT 60")).await;
        let mut words = strings(&reply).into_iter();
        cursor = words.next().unwrap();
        words.for_each(|key| *seen.entry(key).or_default() += 1);
        if cursor == "0" {
            break;
        }
    }
    assert_eq!((seen.len(), seen.values().max()), (1000, Some(&1)));
    first.shutdown().await;
    second.shutdown().await;
}

/// A thousand keys with a long common beginning.
async fn put_items(client: &mut Client) {
    let mut sent = String::new();
    for at in 0..1000 {
        sent.push_str(&format!(
            "SET product:inventory:warehouse:item:{at:010} 1\r\n"
        ));
    }
    client.send(sent).await;
    for _ in 0..1000 {
        assert_eq!(client.reply().await, "+OK\r\n");
    }
}

#[tokio::test]
async fn a_cursor_of_another_proxy_waits_for_meta_as_long_as_the_command_may() {
    let cluster = Cluster::of_two();
    let first = cluster.proxy("").await;
    let mut client = Client::connect(first.addr).await;
    put_items(&mut client).await;
    let (mut cursor, mut seen) = ("0".to_owned(), 0);
    while cluster.settings().is_empty() {
        let page = strings(&client.run(&format!("SCAN {cursor} COUNT 20")).await);
        seen += page.len() - 1;
        cursor = page[0].clone();
        assert_ne!(cursor, "0", "a prefix was needed");
    }
    first.shutdown().await;
    // The next proxy has not heard of the prefix, and meta is away when it asks.
    let (name, prefix) = cluster
        .settings()
        .pop_first()
        .expect("a prefix has a number");
    cluster.change_rows(vec![], vec![RowKey::Setting(name.clone())]);
    let second = cluster.proxy("").await;
    let mut client = Client::connect(second.addr).await;
    assert_eq!(client.run("GET a").await, "$-1\r\n");
    let back_at = Instant::now() + Duration::from_millis(2500);
    *cluster.meta_away.lock().unwrap() = (Some(back_at), 0);
    client.put(&format!("SCAN {cursor} COUNT 2000")).await;
    wait_until(|| cluster.meta_away.lock().unwrap().1 > 0).await;
    cluster.change_rows(vec![Row::Setting(name, prefix)], vec![]);
    let rest = strings(&client.reply().await);
    assert!(Instant::now() >= back_at);
    assert_eq!(seen + rest.len() - 1, 1000, "{rest:?}");
    second.shutdown().await;
}

#[tokio::test]
async fn keys_with_a_long_common_beginning_come_in_pages_too() {
    let cluster = Cluster::of_two();
    let (first, second) = (cluster.proxy("").await, cluster.proxy("").await);
    let mut clients = [
        Client::connect(first.addr).await,
        Client::connect(second.addr).await,
    ];
    put_items(&mut clients[0]).await;
    for _ in 0..2 {
        let (mut cursor, mut seen) = ("0".to_owned(), BTreeMap::<String, usize>::new());
        for page in 0.. {
            let client = &mut clients[page % 2];
            let reply = client.run(&format!("SCAN {cursor} COUNT 20")).await;
            let mut words = strings(&reply).into_iter();
            cursor = words.next().expect("a cursor");
            assert!(words.len() <= 20, "page {page} has {} keys", words.len());
            words.for_each(|key| *seen.entry(key).or_default() += 1);
            if cursor == "0" {
                assert!(page > 45, "{page}");
                break;
            }
        }
        assert_eq!((seen.len(), seen.values().max()), (1000, Some(&1)));
    }
    let settings = cluster.settings();
    assert!(settings.len() <= 3, "{settings:?}");
    assert!(settings.keys().all(|name| name.starts_with("scan-prefix.")));
    assert_eq!(
        clients[0].run("SCAN 9007199254740992").await,
        "*2\r\n$1\r\n0\r\n*0\r\n"
    );
    first.shutdown().await;
    second.shutdown().await;
}

#[tokio::test]
async fn a_flush_that_was_done_in_part_says_so() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    client.run("MSET a 1 z 1").await;
    for line in ["FLUSHDB", "FLUSHALL"] {
        cluster.faults(2, &[Fault::DiskFull]);
        let reply = client.run(line).await;
        assert!(
            reply.starts_with("-UNKNOWN only some groups"),
            "{line}: {reply}"
        );
        assert_eq!(client.run("EXISTS a z").await, ":1\r\n", "{line}");
    }
    assert_eq!(client.run("FLUSHALL").await, "+OK\r\n");
    assert_eq!(client.run("EXISTS a z").await, ":0\r\n");
    proxy.shutdown().await;
}

/// A table of so many ranges, dealt to two groups in turn.
pub(super) fn many_ranges(count: u64) -> Vec<RangeDescriptor> {
    let bound = |at: u64| match at {
        0 => String::new(),
        at if at == count => String::new(),
        at => format!("{at:04}"),
    };
    (0..count)
        .map(|at| range(at + 1, 1, &bound(at), &bound(at + 1), 1 + at % 2))
        .collect()
}

#[tokio::test]
async fn a_flush_of_many_ranges_is_one_frame_for_each_group() {
    let ranges = many_ranges(110);
    let cluster = Cluster::new(ranges.clone());
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    let frames = || [1, 2].map(|id| cluster.group(id, |group| group.executed.len()));
    for line in ["FLUSHDB", "FLUSHALL"] {
        client.run("MSET 0 1 0001 1 0050 1 0109 1 z 1").await;
        let before = frames();
        assert_eq!(client.run(line).await, "+OK\r\n");
        assert_eq!(frames(), before.map(|frames| frames + 1), "{line}");
        let flushed = cluster.group(2, |group| group.executed.last().unwrap().len());
        assert_eq!(flushed, 55);
        assert_eq!(client.run("DBSIZE").await, ":0\r\n");
    }

    // The map is old: a third group has some of them by now. Only those are asked for again.
    client.run("MSET 0 1 0001 1 0050 1 0109 1 z 1").await;
    for at in [50, 109] {
        let mut moved = ranges[at].clone();
        (moved.epoch, moved.group_id) = (Epoch(2), GroupId(3));
        cluster.move_range(ranges[at].group_id.0, moved);
    }
    cluster.publish(vec![group_row(3)]);
    assert_eq!(client.run("FLUSHDB").await, "+OK\r\n");
    let flushed = cluster.group(3, |group| group.executed.last().unwrap().len());
    assert_eq!(
        (flushed, client.run("DBSIZE").await),
        (2, ":0\r\n".to_owned())
    );
    proxy.shutdown().await;
}

#[tokio::test]
async fn info_begins_no_second_count_while_one_is_under_way() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    client.run("MSET a 1 z 1").await;
    let before = cluster.group(1, |group| group.seen.len());
    cluster.faults(1, &[Fault::Hold]);
    for _thrice in 0..3 {
        let info = client.run("INFO").await;
        assert!(
            info.contains("# Keyspace") && !info.contains("db0:"),
            "{info}"
        );
    }
    cluster.go_on(1);
    let counted = Instant::now() + Duration::from_secs(30);
    while !client.run("INFO").await.contains("db0:keys=2,") {
        assert!(Instant::now() < counted, "the count is lost");
    }
    assert_eq!(cluster.group(1, |group| group.seen.len()), before + 1);
    proxy.shutdown().await;
}
