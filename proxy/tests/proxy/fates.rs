//! Frames whose range moves, or whose group is removed, before they are answered: each is executed
//! once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use coterie_protocol::catalog::Row;

use super::moves::{executed, move_and_publish, whole};
use crate::support::{Client, Cluster, Fault, group_row, range, wait_until};

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
    // By now the map names another owner, which must not be asked.
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
    // Its nodes drop the group before the proxy hears of it.
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
    // Meta drops a group before its nodes do.
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

    // The map never names an owner: the command was surely not applied, and the reply says so.
    cluster.remove_group(1);
    let reply = client.run("INCR x").await;
    assert!(reply.starts_with("-TRYAGAIN"), "{reply}");
    proxy.shutdown().await;
}

#[tokio::test]
async fn each_failure_says_its_own_reason() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("--request-timeout 400ms").await;
    let mut client = Client::connect(proxy.addr).await;
    client.run("SET a 1").await;
    // Group 1 reports that its keys have moved; the commands routed again wait for group 2, in
    // vain.
    cluster.faults(1, &[Fault::Hold]);
    cluster.faults(2, &[Fault::Silence; 10]);
    let lines = "GET a\r\nGET z\r\nMULTI\r\nINCR b\r\nEXEC\r\n";
    client.send(lines).await;
    wait_until(|| cluster.group(1, |group| group.faults.is_empty())).await;
    move_and_publish(&cluster, 1, range(1, 2, "", "m", 3));
    cluster.go_on(1);
    let again = "-TRYAGAIN the command was not applied: ";
    for expected in [
        &format!("{again}its time was over when keys of group 1 had moved\r\n"),
        &format!("{again}node "),
        "+OK\r\n",
        "+QUEUED\r\n",
        &format!("{again}its time was over while it waited behind commands whose keys had moved"),
    ] {
        let reply = client.reply().await;
        assert!(reply.starts_with(expected), "{reply} is not {expected}");
    }
    cluster.group(2, |group| group.faults.clear());
    assert_eq!(client.run("MGET a z").await, "*2\r\n$1\r\n1\r\n$-1\r\n");
    proxy.shutdown().await;
}

#[tokio::test]
async fn that_no_range_holds_a_key_is_said_only_while_it_is_so() {
    let cluster = Cluster::new(vec![range(1, 1, "", "m", 1), range(2, 1, "m", "t", 2)]);
    let proxy = cluster.proxy("--request-timeout 400ms").await;
    let mut client = Client::connect(proxy.addr).await;
    client.run("SET a 1").await;
    let no_range = "-TRYAGAIN the command was not applied: no range of the map holds its keys\r\n";
    assert_eq!(client.run("GET z").await, no_range);
    client.send("MULTI\r\nGET z\r\nEXEC\r\n").await;
    for expected in [
        "+OK\r\n",
        "+QUEUED\r\n",
        "-EXECABORT Transaction discarded because of: TRYAGAIN the command was not applied: no \
         range of the map holds its keys\r\n",
    ] {
        assert_eq!(client.reply().await, expected);
    }
    assert_eq!(
        client.run("COPY a z NOPE").await,
        "-ERR syntax error\r\n",
        "needs no range"
    );

    // The map soon has the key, but the command waits too long for an earlier command.
    cluster.faults(2, &[Fault::Silence; 10]);
    client.send("GET n\r\nGET z\r\n").await;
    wait_until(|| cluster.group(2, |group| group.faults.len() < 10)).await;
    cluster.publish(vec![group_row(1), Row::Range(range(3, 2, "t", "", 1))]);
    let reply = client.reply().await;
    assert!(
        reply.starts_with("-TRYAGAIN the command was not applied: node "),
        "{reply}"
    );
    let late = "-TRYAGAIN the command was not applied: it took too long\r\n";
    assert_eq!(client.reply().await, late);
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

/// The next number of a deterministic random sequence.
fn next_random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// Moves two ranges around three groups, until `enough`. A group that gives a range away may have
/// lost its last answers. Faults stop after a while, as a frame that has to be answered there would
/// meet them at every attempt.
async fn disturb(cluster: &Cluster, enough: impl Fn() -> bool) {
    const FAULTS_UNTIL: u64 = 60;
    const FAULTS: [Fault; 5] = [
        Fault::LoseAnswer,
        Fault::FateUnknown,
        Fault::NoLeader,
        Fault::Overloaded,
        Fault::Moving,
    ];
    let (mut owners, mut state) = ([1, 2], 0x9e37_79b9_7f4a_7c15);
    for epoch in 2.. {
        if enough() {
            return;
        }
        let at = (next_random(&mut state) % 2) as usize;
        let from = owners[at];
        let to = (from + next_random(&mut state) % 2) % 3 + 1;
        let (start, end) = [("", "m"), ("m", "")][at];
        let after = range(at as u64 + 1, epoch, start, end, to);
        if epoch < FAULTS_UNTIL {
            let fault = FAULTS[(next_random(&mut state) % 5) as usize];
            cluster.faults(from, &[fault, fault]);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        cluster.move_range(from, after.clone());
        owners[at] = to;
        if next_random(&mut state).is_multiple_of(2) {
            cluster.republish(vec![after], &[], None);
        }
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

#[tokio::test]
async fn every_write_counts_once_whatever_goes_wrong_while_ranges_move_around() {
    const CLIENTS: usize = 4;
    const WRITES: usize = 250;
    let cluster = Cluster::of_two();
    cluster.publish(vec![group_row(3)]);
    let proxy = cluster.proxy("").await;
    let left = AtomicUsize::new(CLIENTS);
    let load = || left.load(Ordering::Relaxed);
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
        left.fetch_sub(1, Ordering::Relaxed);
    };
    let writing = futures_util::future::join_all((0..CLIENTS).map(write));
    tokio::join!(disturb(&cluster, || load() == 0), writing);
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
