//! Leaders that fail, answers that are lost, ranges that move, and the replies that clients get.

use coterie_protocol::catalog::Row;
use coterie_types::NodeId;

use crate::support::{Client, Cluster, Fault, group_row, range, wait_until};

#[tokio::test]
async fn a_frame_whose_answer_is_lost_is_applied_once() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    let faults = [
        Fault::LoseAnswer,
        Fault::FateUnknown,
        Fault::LoseAnswer,
        Fault::NoLeader,
        Fault::Overloaded,
    ];
    cluster.faults(1, &faults);
    client.send("INCR a\r\nINCR a\r\nINCR a\r\n").await;
    for expected in [":1\r\n", ":2\r\n", ":3\r\n"] {
        assert_eq!(client.reply().await, expected);
    }
    let seen = cluster.group(1, |group| group.seen.clone());
    assert!(
        seen.len() > 5 && seen.iter().all(|(seq, _)| seq.0 <= 3),
        "{seen:?}"
    );
    assert_eq!(client.run("GET a").await, "$1\r\n3\r\n");
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_silent_leader_is_passed_over() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    assert_eq!(client.run("INCR a").await, ":1\r\n");
    cluster.faults(1, &[Fault::Silence]);
    client.put("INCR a").await;
    wait_until(|| cluster.group(1, |group| group.faults.is_empty())).await;
    cluster.group(1, |group| {
        group.leader = NodeId(3);
        group.term += 1;
    });
    assert_eq!(client.reply().await, ":2\r\n");
    proxy.shutdown().await;
}

#[tokio::test]
async fn the_leader_is_found_and_followed() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    for leader in [2, 3, 1, 2] {
        cluster.group(1, |group| {
            group.leader = NodeId(leader);
            group.term += 1;
        });
        assert_eq!(client.run("SET a 1").await, "+OK\r\n");
    }
    proxy.shutdown().await;
}

#[tokio::test]
async fn giving_up_says_whether_the_write_may_have_happened() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("--request-timeout 300ms").await;
    let mut client = Client::connect(proxy.addr).await;
    assert_eq!(client.run("SET a 0").await, "+OK\r\n");
    cluster.faults(1, &[Fault::NoLeader; 1000]);
    let reply = client.run("INCR a").await;
    assert!(
        reply.starts_with("-TRYAGAIN the command was not applied"),
        "{reply}"
    );
    cluster.group(1, |group| group.faults.clear());
    cluster.faults(1, &[Fault::FateUnknown]);
    cluster.faults(1, &[Fault::NoLeader; 1000]);
    let reply = client.run("INCR a").await;
    assert!(
        reply.starts_with("-UNKNOWN the command may or may not"),
        "{reply}"
    );
    cluster.group(1, |group| group.faults.clear());
    assert_eq!(client.run("GET a").await, "$1\r\n1\r\n");
    assert_eq!(client.run("INCR a").await, ":2\r\n");
    // A read changes nothing, whatever its fate.
    cluster.faults(1, &[Fault::LoseAnswer; 1000]);
    let reply = client.run("GET a").await;
    assert!(reply.starts_with("-TRYAGAIN"), "{reply}");
    proxy.shutdown().await;
}

#[tokio::test]
async fn an_expired_session_is_followed_by_a_new_one_unless_that_could_apply_twice() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    assert_eq!(client.run("INCR a").await, ":1\r\n");
    cluster.faults(1, &[Fault::SessionExpired]);
    assert_eq!(client.run("INCR a").await, ":2\r\n");
    cluster.faults(1, &[Fault::FateUnknown, Fault::SessionExpired]);
    let reply = client.run("INCR a").await;
    assert!(reply.starts_with("-UNKNOWN"), "{reply}");
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_full_disk_is_said_at_once_unless_the_write_may_have_happened() {
    const FULL: &str = "-OOM command not allowed when the disk is full\r\n";
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    assert_eq!(client.run("SET a 0").await, "+OK\r\n");
    cluster.faults(1, &[Fault::DiskFull]);
    assert_eq!(client.run("INCR a").await, FULL);
    cluster.faults(1, &[Fault::NoLeader, Fault::DiskFull]);
    assert_eq!(client.run("INCR a").await, FULL);
    // The first attempt applied it: a later attempt gets its reply.
    cluster.faults(1, &[Fault::LoseAnswer, Fault::DiskFull, Fault::DiskFull]);
    assert_eq!(client.run("INCR a").await, ":1\r\n");
    let hasty = cluster.proxy("--request-timeout 300ms").await;
    let mut client = Client::connect(hasty.addr).await;
    cluster.faults(1, &[Fault::FateUnknown]);
    cluster.faults(1, &[Fault::DiskFull; 1000]);
    let reply = client.run("INCR a").await;
    assert!(
        reply.starts_with("-UNKNOWN the command may or may not"),
        "{reply}"
    );
    cluster.group(1, |group| group.faults.clear());
    assert_eq!(client.run("GET a").await, "$1\r\n2\r\n");
    hasty.shutdown().await;
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_group_that_never_saw_a_session_takes_it_for_a_new_one() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    cluster.faults(1, &[Fault::DiskFull]);
    assert!(client.run("INCR a").await.starts_with("-OOM"));
    // As far as the proxy knows, this write may have been applied.
    cluster.faults(1, &[Fault::Silence]);
    assert_eq!(client.run("INCR a").await, ":1\r\n");
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_group_full_of_replies_forgets_them_when_a_refused_frame_comes_again() {
    /// More replies than a group keeps for a session.
    const REPLIES: usize = 64;
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut first = Client::connect(proxy.addr).await;
    let mut second = Client::connect(proxy.addr).await;
    // 1 MiB for each reply.
    assert_eq!(first.run("SETRANGE big 1048575 x").await, ":1048576\r\n");
    cluster.faults(1, &[Fault::HoldAnswer]);
    first.put("INCR a").await;
    wait_until(|| cluster.group(1, |group| group.executed.len() == 2)).await;
    for _ in 0..REPLIES {
        assert!(second.run("GETEX big").await.len() > 1 << 20);
    }
    second.put("INCR b").await;
    wait_until(|| cluster.group(1, |group| group.seen.len() > REPLIES + 3)).await;
    assert_eq!(cluster.group(1, |group| group.executed.len()), REPLIES + 2);
    cluster.go_on(1);
    // No other frame comes: the refused frame itself has to acknowledge the earlier replies.
    assert_eq!(first.reply().await, ":1\r\n");
    assert_eq!(second.reply().await, ":1\r\n");
    proxy.shutdown().await;
}

#[tokio::test]
async fn moved_keys_are_followed_and_the_order_of_a_key_is_kept() {
    let cluster = Cluster::new(vec![range(1, 1, "", "", 1)]);
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    assert_eq!(client.run("SET c 1").await, "+OK\r\n");
    // Half of the range goes to another group; only the old owner knows.
    cluster.publish(vec![group_row(2)]);
    cluster.hand_over(1, vec![range(1, 2, "", "m", 1), range(2, 2, "m", "", 2)]);
    let mut sent = String::new();
    for at in 0..200 {
        sent.push_str(&format!(
            "SET c {at}\r\nSET x {at}\r\nGET x\r\nMSET d {at} y {at}\r\n"
        ));
    }
    client.send(sent).await;
    for at in 0..200 {
        assert_eq!(client.reply().await, "+OK\r\n");
        assert_eq!(client.reply().await, "+OK\r\n");
        let text = at.to_string();
        assert_eq!(
            client.reply().await,
            format!("${}\r\n{text}\r\n", text.len())
        );
        assert_eq!(client.reply().await, "+OK\r\n");
    }
    let reply = client.run("MGET y c d x nokey").await;
    assert_eq!(
        reply,
        "*5\r\n$3\r\n199\r\n$3\r\n199\r\n$3\r\n199\r\n$3\r\n199\r\n$-1\r\n"
    );
    proxy.shutdown().await;
}

#[tokio::test]
async fn an_owner_that_knows_nothing_is_asked_again_until_the_catalog_does() {
    let cluster = Cluster::new(vec![range(1, 1, "", "", 1)]);
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    client.run("SET a 1").await;
    cluster.hand_over(1, vec![range(1, 2, "", "", 2)]);
    cluster.group(1, |group| group.knows.clear());
    client.put("INCR a").await;
    wait_until(|| cluster.group(1, |group| group.seen.len() > 3)).await;
    cluster.publish(vec![group_row(2), Row::Range(range(1, 2, "", "", 2))]);
    assert_eq!(client.reply().await, ":2\r\n");
    proxy.shutdown().await;
}

#[tokio::test]
async fn before_the_first_map_commands_wait_and_are_told_that_it_is_loading() {
    let cluster = Cluster::new(Vec::new());
    let proxy = cluster.proxy("--request-timeout 200ms").await;
    let mut client = Client::connect(proxy.addr).await;
    let reply = client.run("SET a 1").await;
    assert_eq!(reply, "-LOADING Coterie is starting: no ranges yet\r\n");
    assert_eq!(client.run("PING").await, "+PONG\r\n");
    proxy.shutdown().await;
}
