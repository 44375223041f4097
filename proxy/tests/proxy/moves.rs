//! Ranges that are cut, joined and moved while clients use them: each command is executed once, in
//! its place, by whoever owns its keys.

use std::collections::BTreeMap;

use coterie_types::RangeDescriptor;

use super::fanout::{scan_page, strings};
use super::pipelines::wait_until;
use crate::support::{Client, Cluster, Fault, range};

/// One group that owns all.
fn whole() -> std::sync::Arc<Cluster> {
    Cluster::new(vec![range(1, 1, "", "", 1)])
}

fn executed(cluster: &Cluster, group: u64) -> usize {
    cluster.group(group, |group| group.executed.len())
}

/// Moves a range and tells the proxy, too.
fn move_and_publish(cluster: &Cluster, from: u64, after: RangeDescriptor) {
    cluster.move_range(from, after.clone());
    cluster.republish(vec![after], &[], None);
}

#[tokio::test]
async fn what_was_applied_before_the_move_is_answered_by_the_first_owner() {
    let cluster = whole();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    assert_eq!(client.run("INCR a").await, ":1\r\n");
    cluster.faults(1, &[Fault::LoseAnswer]);
    cluster.faults(1, &[Fault::NoLeader; 10_000]);
    client.put("INCR a").await;
    wait_until(|| cluster.group(1, |group| group.seen.len() > 3)).await;
    assert_eq!(executed(&cluster, 1), 2);
    // The map says another owner by now, which must not be asked.
    move_and_publish(&cluster, 1, range(1, 2, "", "", 2));
    wait_until(|| cluster.group(1, |group| group.seen.len() > 6)).await;
    assert_eq!(executed(&cluster, 2), 0);
    cluster.group(1, |group| group.faults.clear());
    assert_eq!(client.reply().await, ":2\r\n");
    assert_eq!(executed(&cluster, 2), 0);
    assert_eq!(client.run("INCR a").await, ":3\r\n");
    assert_eq!(executed(&cluster, 2), 1);
    proxy.shutdown().await;
}

#[tokio::test]
async fn what_was_surely_not_applied_goes_where_the_newer_map_says() {
    let cluster = whole();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    assert_eq!(client.run("INCR a").await, ":1\r\n");
    cluster.faults(1, &[Fault::NoLeader; 10_000]);
    client.send("INCR a\r\nGET a\r\nINCR a\r\n").await;
    wait_until(|| cluster.group(1, |group| group.seen.len() > 3)).await;
    // The old owner never has a leader again.
    move_and_publish(&cluster, 1, range(1, 2, "", "", 2));
    for expected in [":2\r\n", "$1\r\n2\r\n", ":3\r\n"] {
        assert_eq!(client.reply().await, expected);
    }
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_group_that_is_gone_holds_nothing_up() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    assert_eq!(client.run("INCR x").await, ":1\r\n");
    // Its nodes know it no more before the proxy hears of it.
    cluster.move_range(2, range(2, 2, "m", "", 1));
    cluster.remove_group(2);
    client.send("INCR x\r\nINCR a\r\nGET x\r\n").await;
    wait_until(|| executed(&cluster, 1) == 1).await;
    cluster.republish(vec![range(2, 2, "m", "", 1)], &[], Some(2));
    for expected in [":2\r\n", ":1\r\n", "$1\r\n2\r\n"] {
        assert_eq!(client.reply().await, expected);
    }
    let reply = client.run("DBSIZE").await;
    assert_eq!(reply, ":2\r\n");
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_group_that_is_forgotten_still_tells_what_it_applied() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    cluster.faults(2, &[Fault::FateUnknown]);
    cluster.faults(2, &[Fault::NoLeader; 10_000]);
    client.put("INCR x").await;
    wait_until(|| cluster.group(2, |group| group.seen.len() > 2)).await;
    // Meta forgets a group before its nodes do.
    cluster.move_range(2, range(2, 2, "m", "", 1));
    cluster.republish(vec![range(2, 2, "m", "", 1)], &[], Some(2));
    wait_until(|| cluster.group(2, |group| group.seen.len() > 6)).await;
    cluster.group(2, |group| group.faults.clear());
    assert_eq!(client.reply().await, ":1\r\n");
    assert_eq!(executed(&cluster, 1), 0);
    assert_eq!(client.run("INCR x").await, ":2\r\n");
    proxy.shutdown().await;
}

#[tokio::test]
async fn only_the_timeout_ends_what_a_group_that_is_gone_may_have_applied() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("--request-timeout 400ms").await;
    let mut client = Client::connect(proxy.addr).await;
    assert_eq!(client.run("INCR x").await, ":1\r\n");
    cluster.faults(2, &[Fault::FateUnknown]);
    cluster.faults(2, &[Fault::NoLeader; 10_000]);
    client.put("INCR x").await;
    wait_until(|| cluster.group(2, |group| group.seen.len() > 2)).await;
    cluster.move_range(2, range(2, 2, "m", "", 1));
    cluster.remove_group(2);
    cluster.republish(vec![range(2, 2, "m", "", 1)], &[], Some(2));
    let reply = client.reply().await;
    assert!(reply.starts_with("-UNKNOWN"), "{reply}");
    assert_eq!(executed(&cluster, 1), 0, "it is not sent on");
    assert_eq!(client.run("GET x").await, "$1\r\n2\r\n");

    // The map never says who owns it: surely not applied, and so it is told.
    cluster.remove_group(1);
    let reply = client.run("INCR x").await;
    assert!(reply.starts_with("-TRYAGAIN"), "{reply}");
    proxy.shutdown().await;
}

#[tokio::test]
async fn keys_that_are_moving_are_waited_for() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    cluster.faults(1, &[Fault::Moving; 5]);
    assert_eq!(client.run("INCR a").await, ":1\r\n");
    let seen = cluster.group(1, |group| group.seen.clone());
    assert_eq!(seen.len(), 6);
    assert!(seen.iter().all(|frame| *frame == seen[0]), "{seen:?}");
    cluster.faults(1, &[Fault::Moving; 2]);
    assert_eq!(client.run("GET a").await, "$1\r\n1\r\n");
    let info = client.run("INFO coterie").await;
    assert!(info.contains("moving:7\r\n"), "{info}");

    let hasty = cluster.proxy("--request-timeout 200ms").await;
    let mut client = Client::connect(hasty.addr).await;
    cluster.faults(1, &[Fault::Moving; 10_000]);
    let reply = client.run("INCR a").await;
    assert!(
        reply.starts_with("-TRYAGAIN the command was not applied: keys are moving"),
        "{reply}"
    );
    hasty.shutdown().await;
    proxy.shutdown().await;
}

/// Moves the whole range around, to a next group each time, until told that it is enough; every
/// other time the proxy is told.
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
            // Whoever owned it knows; its group's row must be there to be found.
            cluster.publish(vec![crate::support::group_row(next)]);
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
    let done = std::sync::atomic::AtomicBool::new(false);
    let moving = move_around(&cluster, || done.load(std::sync::atomic::Ordering::Relaxed));
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
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    tokio::join!(moving, writing);
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_transaction_is_executed_once_and_whole_while_its_range_moves_around() {
    let cluster = whole();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    let done = std::sync::atomic::AtomicBool::new(false);
    let moving = move_around(&cluster, || done.load(std::sync::atomic::Ordering::Relaxed));
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
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    tokio::join!(moving, writing);
    proxy.shutdown().await;
}

/// A number that depends on the ones before it only.
fn next_random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[tokio::test]
async fn every_write_counts_once_whatever_goes_wrong_while_ranges_move_around() {
    const CLIENTS: usize = 4;
    const WRITES: usize = 250;
    const FAULTS_UNTIL: u64 = 60;
    const FAULTS: [Fault; 5] = [
        Fault::LoseAnswer,
        Fault::FateUnknown,
        Fault::NoLeader,
        Fault::Overloaded,
        Fault::Moving,
    ];
    let cluster = Cluster::of_two();
    cluster.publish(vec![crate::support::group_row(3)]);
    let proxy = cluster.proxy("").await;
    let left = std::sync::atomic::AtomicUsize::new(CLIENTS);
    let load = || left.load(std::sync::atomic::Ordering::Relaxed);
    let disturbing = async {
        let (mut owners, mut state) = ([1, 2], 0x9e37_79b9_7f4a_7c15);
        for epoch in 2.. {
            if load() == 0 {
                return;
            }
            let at = (next_random(&mut state) % 2) as usize;
            let (from, to) = (
                owners[at],
                (owners[at] + next_random(&mut state) % 2) % 3 + 1,
            );
            let (start, end) = [("", "m"), ("m", "")][at];
            let after = range(at as u64 + 1, epoch, start, end, to);
            // Whoever gives it away may have lost its last answers. Not for ever: a frame that has
            // to be answered there would meet them at every attempt.
            if epoch < FAULTS_UNTIL {
                let fault = FAULTS[(next_random(&mut state) % 5) as usize];
                cluster.faults(from, &[fault, fault]);
            }
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            cluster.move_range(from, after.clone());
            owners[at] = to;
            if next_random(&mut state).is_multiple_of(2) {
                cluster.republish(vec![after], &[], None);
            }
            tokio::time::sleep(std::time::Duration::from_millis(3)).await;
        }
    };
    let write = async |name: usize| {
        let mut client = Client::connect(proxy.addr).await;
        for round in 0..WRITES {
            client
                .send(format!("INCR a{name}\r\nINCR z{name}\r\nINCR all\r\n"))
                .await;
            for _ in 0..2 {
                assert_eq!(client.reply().await, format!(":{}\r\n", round + 1));
            }
            let all = client.reply().await;
            assert!(all.starts_with(':'), "{all}");
        }
        left.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
    };
    let writing = futures_util::future::join_all((0..CLIENTS).map(write));
    tokio::join!(disturbing, writing);
    let mut client = Client::connect(proxy.addr).await;
    let total = CLIENTS * WRITES;
    assert_eq!(
        client.run("GET all").await,
        format!("${}\r\n{total}\r\n", total.to_string().len())
    );
    let info = client.run("INFO coterie").await;
    assert!(
        !info.contains("moved:0\r\n") && !info.contains("retries:0\r\n"),
        "{info}"
    );
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
    cluster.publish(vec![crate::support::group_row(2)]);
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
    // The first owner has counted many more changes than the next one ever will.
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
    // What is held comes back refused: the range is cut, and its parts have other owners.
    let mut hold_and_move = async |line: &str, from: u64, after: Vec<RangeDescriptor>| {
        cluster.faults(from, &[Fault::Hold]);
        client.put(line).await;
        wait_until(|| cluster.group(from, |group| group.faults.is_empty())).await;
        for range in after {
            cluster.publish(vec![crate::support::group_row(range.group_id.0)]);
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

/// What happens to the ranges before a page, and whether the proxy is told: cut, cut, moved, moved,
/// joined after coming together, and moved as a whole.
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
            // The proxy hears of it from the groups alone.
            let cut = vec![
                range(2, 3, "key:0200", "key:0300", 1),
                range(3, 3, "key:0300", "", 1),
            ];
            cluster.reshape(1, &[2], cut);
        }
        3 => {
            cluster.publish(vec![crate::support::group_row(2)]);
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
