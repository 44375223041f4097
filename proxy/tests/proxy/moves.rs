//! Ranges that are split, merged and moved while clients use them: each command is executed once,
//! in order, by the owner of its keys.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use coterie_types::RangeDescriptor;

use super::fanout::strings;
use super::scans::scan_page;
use crate::support::{Client, Cluster, Fault, group_row, range, wait_until};

/// A single group that owns the whole table.
pub(super) fn whole() -> std::sync::Arc<Cluster> {
    Cluster::new(vec![range(1, 1, "", "", 1)])
}

pub(super) fn executed(cluster: &Cluster, group: u64) -> usize {
    cluster.group(group, |group| group.executed.len())
}

/// Moves a range and publishes the move to the proxy.
pub(super) fn move_and_publish(cluster: &Cluster, from: u64, after: RangeDescriptor) {
    cluster.move_range(from, after.clone());
    cluster.republish(vec![after], &[], None);
}

/// Moves the whole range from group to group, until `enough`; publishes every other move to the
/// proxy.
async fn move_around(cluster: &Cluster, enough: impl Fn() -> bool) {
    let mut owner = 1;
    for epoch in 2.. {
        if enough() {
            return;
        }
        let next = owner % 3 + 1;
        let after = range(1, epoch, "", "", next);
        cluster.move_range(owner, after.clone());
        if epoch % 2 == 0 {
            cluster.republish(vec![after], &[], None);
        } else {
            // The old owner knows the new owner; the row of its group must exist so that it can be
            // found.
            cluster.publish(vec![group_row(next)]);
        }
        owner = next;
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_pipeline_keeps_its_order_while_its_range_moves_around() {
    const WRITES: usize = 2000;
    let cluster = whole();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    let done = AtomicBool::new(false);
    let moving = move_around(&cluster, || done.load(Ordering::Relaxed));
    let writing = async {
        let mut expected = String::new();
        for chunk in 0..WRITES / 100 {
            let mut sent = String::new();
            for at in chunk * 100..chunk * 100 + 100 {
                sent.push_str(&format!("APPEND a {at},\r\n"));
                expected.push_str(&format!("{at},"));
            }
            client.send(sent).await;
            let mut length = 0;
            for _ in 0..100 {
                let reply = client.reply().await;
                let now: usize = reply.trim()[1..].parse().expect("a length");
                assert!(now > length, "{now} after {length}");
                length = now;
            }
            assert_eq!(length, expected.len());
        }
        let reply = client.run("GET a").await;
        assert_eq!(reply, format!("${}\r\n{expected}\r\n", expected.len()));
        done.store(true, Ordering::Relaxed);
    };
    tokio::join!(moving, writing);
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_transaction_is_executed_once_and_whole_while_its_range_moves_around() {
    let cluster = whole();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    let done = AtomicBool::new(false);
    let moving = move_around(&cluster, || done.load(Ordering::Relaxed));
    let writing = async {
        for at in 0..200 {
            client.send("MULTI\r\nINCR a\r\nINCR z\r\nEXEC\r\n").await;
            for expected in ["+OK\r\n", "+QUEUED\r\n", "+QUEUED\r\n"] {
                assert_eq!(client.reply().await, expected);
            }
            let count = at + 1;
            assert_eq!(
                client.reply().await,
                format!("*2\r\n:{count}\r\n:{count}\r\n")
            );
        }
        done.store(true, Ordering::Relaxed);
    };
    tokio::join!(moving, writing);
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_transaction_on_its_way_is_executed_by_the_next_owner() {
    let cluster = whole();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    client.run("SET a 5").await;
    cluster.faults(1, &[Fault::Hold]);
    client
        .send("MULTI\r\nINCR a\r\nINCR a\r\nEXEC\r\nGET a\r\n")
        .await;
    wait_until(|| cluster.group(1, |group| group.faults.is_empty())).await;
    move_and_publish(&cluster, 1, range(1, 2, "", "", 2));
    cluster.go_on(1);
    for expected in [
        "+OK\r\n",
        "+QUEUED\r\n",
        "+QUEUED\r\n",
        "*2\r\n:6\r\n:7\r\n",
        "$1\r\n7\r\n",
    ] {
        assert_eq!(client.reply().await, expected);
    }
    assert_eq!((executed(&cluster, 1), executed(&cluster, 2)), (1, 2));
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_watch_holds_across_a_move_and_fails_when_the_key_was_touched_after_it() {
    let cluster = whole();
    let proxy = cluster.proxy("").await;
    let mut one = Client::connect(proxy.addr).await;
    let mut two = Client::connect(proxy.addr).await;
    one.run("SET a 1").await;
    assert_eq!(one.run("WATCH a").await, "+OK\r\n");
    cluster.publish(vec![group_row(2)]);
    cluster.move_range(1, range(1, 2, "", "", 2));
    one.send("MULTI\r\nINCR a\r\nEXEC\r\n").await;
    for expected in ["+OK\r\n", "+QUEUED\r\n", "*1\r\n:2\r\n"] {
        assert_eq!(one.reply().await, expected);
    }

    assert_eq!(one.run("WATCH a").await, "+OK\r\n");
    move_and_publish(&cluster, 2, range(1, 3, "", "", 3));
    two.run("SET a 9").await;
    one.send("MULTI\r\nINCR a\r\nEXEC\r\nGET a\r\n").await;
    for expected in ["+OK\r\n", "+QUEUED\r\n", "*-1\r\n", "$1\r\n9\r\n"] {
        assert_eq!(one.reply().await, expected);
    }
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_watched_key_that_came_and_went_after_the_move_was_touched() {
    let cluster = whole();
    let proxy = cluster.proxy("").await;
    let mut one = Client::connect(proxy.addr).await;
    let mut two = Client::connect(proxy.addr).await;
    // The first owner has counted many more changes than the next owner ever will.
    for _ in 0..50 {
        one.run("INCR other").await;
    }
    assert_eq!(one.run("WATCH a").await, "+OK\r\n");
    move_and_publish(&cluster, 1, range(1, 2, "", "", 2));
    two.run("SET a 1").await;
    two.run("DEL a").await;
    one.send("MULTI\r\nINCR a\r\nEXEC\r\n").await;
    for expected in ["+OK\r\n", "+QUEUED\r\n", "*-1\r\n"] {
        assert_eq!(one.reply().await, expected);
    }
    proxy.shutdown().await;
}

#[tokio::test]
async fn keys_of_several_groups_are_gathered_though_one_moves_in_between() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    client.run("MSET a 1 n 2 z 3").await;
    // The held frame comes back refused: the range is split, and its parts have other owners.
    let mut hold_and_move = async |line: &str, from: u64, after: Vec<RangeDescriptor>| {
        cluster.faults(from, &[Fault::Hold]);
        client.put(line).await;
        wait_until(|| cluster.group(from, |group| group.faults.is_empty())).await;
        for range in after {
            cluster.publish(vec![group_row(range.group_id.0)]);
            cluster.move_range(from, range);
        }
        cluster.go_on(from);
        client.reply().await
    };
    let cut = vec![range(2, 2, "m", "s", 2), range(3, 2, "s", "", 2)];
    cluster.reshape(2, &[2], cut);
    let parts = vec![range(2, 3, "m", "s", 3), range(3, 3, "s", "", 4)];
    let reply = hold_and_move("MGET z a n nokey", 2, parts).await;
    assert_eq!(reply, "*4\r\n$1\r\n3\r\n$1\r\n1\r\n$1\r\n2\r\n$-1\r\n");
    let before = executed(&cluster, 1);
    let reply = hold_and_move("MSET z 4 a 5 n 6", 3, vec![range(2, 4, "m", "s", 2)]).await;
    assert_eq!(reply, "+OK\r\n");
    assert_eq!(
        executed(&cluster, 1),
        before + 1,
        "the other piece went once"
    );
    let reply = hold_and_move("DEL z a n", 4, vec![range(3, 4, "s", "", 1)]).await;
    assert_eq!(reply, ":3\r\n");
    assert_eq!(client.run("DBSIZE").await, ":0\r\n");
    proxy.shutdown().await;
}

/// Changes the ranges before a page, and tells the proxy of some changes: two splits, moves, merges
/// of parts that moves brought together, and a move of the whole.
fn change(cluster: &Cluster, page: usize) {
    let told = |ranges: Vec<RangeDescriptor>, gone: &[u64]| cluster.republish(ranges, gone, None);
    match page {
        1 => {
            let cut = vec![
                range(1, 2, "", "key:0200", 1),
                range(2, 2, "key:0200", "", 1),
            ];
            cluster.reshape(1, &[1], cut.clone());
            told(cut, &[]);
        }
        2 => {
            // The proxy hears of it only from the groups.
            let cut = vec![
                range(2, 3, "key:0200", "key:0300", 1),
                range(3, 3, "key:0300", "", 1),
            ];
            cluster.reshape(1, &[2], cut);
        }
        3 => {
            cluster.publish(vec![group_row(2)]);
            cluster.move_range(1, range(3, 4, "key:0300", "", 2));
        }
        4 => move_and_publish(cluster, 1, range(1, 3, "", "key:0200", 2)),
        5 => move_and_publish(cluster, 2, range(3, 5, "key:0300", "", 1)),
        6 => {
            let joined = range(2, 6, "key:0200", "", 1);
            cluster.reshape(1, &[2, 3], vec![joined.clone()]);
            told(vec![joined], &[3]);
        }
        7 => cluster.move_range(1, range(2, 7, "key:0200", "", 2)),
        8 => {
            let joined = range(1, 8, "", "", 2);
            cluster.reshape(2, &[1, 2], vec![joined.clone()]);
            told(vec![joined], &[2]);
        }
        9 => move_and_publish(cluster, 2, range(1, 9, "", "", 3)),
        _ => {}
    }
}

#[tokio::test]
async fn scan_returns_each_key_once_across_cuts_joins_and_moves() {
    let cluster = whole();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    let mut sent = String::new();
    for at in 0..500 {
        sent.push_str(&format!("SET key:{at:04} 1\r\n"));
    }
    client.send(sent).await;
    for _ in 0..500 {
        client.reply().await;
    }
    let (mut cursor, mut seen) = ("0".to_owned(), BTreeMap::<String, usize>::new());
    for page in 0.. {
        change(&cluster, page);
        // Keys that come and go between pages may or may not be returned.
        client.run(&format!("SET key:{page:04}:new 1")).await;
        let (next, keys) = scan_page(&mut client, &cursor, 40).await;
        client.run(&format!("DEL key:{page:04}:new")).await;
        for key in keys.into_iter().filter(|key| !key.ends_with(":new")) {
            *seen.entry(key).or_default() += 1;
        }
        cursor = next;
        if cursor == "0" {
            assert!(page > 9, "{page}");
            break;
        }
    }
    assert_eq!((seen.len(), seen.values().max()), (500, Some(&1)));
    let keys = client.run("KEYS *").await;
    assert_eq!(strings(&keys).len(), 500);
    assert_eq!(client.run("DBSIZE").await, ":500\r\n");
    proxy.shutdown().await;
}
