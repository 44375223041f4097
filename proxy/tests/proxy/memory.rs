//! Long replies: how much of the proxy's memory a client may hold, and how that affects others.

use std::time::{Duration, Instant};

use crate::support::{Client, Cluster, Fault, listed, wait_until};

const MIB: usize = 1 << 20;

/// Stores a value of 1 MiB at `a`, which group 1 owns.
async fn fill(client: &mut Client) {
    fill_key(client, "a").await;
}

async fn fill_key(client: &mut Client, key: &str) {
    let value = "x".repeat(MIB);
    assert_eq!(client.run(&format!("SET {key} {value}")).await, "+OK\r\n");
}

#[tokio::test]
async fn what_a_client_does_not_read_stays_with_the_group() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    fill(&mut client).await;
    client.send("GET a\r\n".repeat(300)).await;
    let mut other = Client::connect(proxy.addr).await;
    // Sockets hold some of it; the proxy holds only the client's part.
    let held = stable(&mut other, "omem").await;
    assert!(
        held < 4 * MIB,
        "{held} bytes wait for a client that does not read"
    );
    for _ in 0..300 {
        assert_eq!(client.reply().await.len(), MIB + 12);
    }
    assert_eq!(client.run("PING").await, "+PONG\r\n");
    proxy.shutdown().await;
}

/// The largest value of a field of CLIENT LIST, once it no longer changes.
async fn stable(client: &mut Client, field: &str) -> usize {
    let (mut last, mut since) = (0, Instant::now());
    while since.elapsed() < Duration::from_millis(300) {
        let clients = listed(client).await;
        let values = clients
            .iter()
            .filter_map(|fields| fields[field].parse().ok());
        let most = values.max().unwrap_or(0);
        if most != last {
            (last, since) = (most, Instant::now());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    last
}

#[tokio::test]
async fn clients_share_the_memory_for_long_replies_and_all_are_answered() {
    let cluster = Cluster::of_two();
    // Memory for two replies at a time.
    let proxy = cluster.proxy("--reply-memory 3MiB").await;
    let mut client = Client::connect(proxy.addr).await;
    fill(&mut client).await;
    let reading = (0..8).map(|_| async {
        let mut client = Client::connect(proxy.addr).await;
        client.send("GET a\r\n".repeat(20)).await;
        for _ in 0..20 {
            assert_eq!(client.reply().await.len(), MIB + 12);
        }
    });
    futures_util::future::join_all(reading).await;
    proxy.shutdown().await;
}

#[tokio::test]
async fn one_that_holds_memory_and_does_not_read_gives_way_to_others() {
    let cluster = Cluster::of_two();
    let proxy = cluster
        .proxy("--reply-memory 64KiB --client-reply-memory 64MiB")
        .await;
    let mut stalled = Client::connect(proxy.addr).await;
    fill(&mut stalled).await;
    // More than the sockets hold.
    stalled.put(&format!("MGET{}", " a".repeat(30))).await;
    let mut other = Client::connect(proxy.addr).await;
    while !other.run("CLIENT LIST").await.contains("cmd=mget") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(other.run("SET b 1").await, "+OK\r\n");
    assert_eq!(
        other.run("GET b").await,
        "$1\r\n1\r\n",
        "a short reply needs no leave"
    );
    assert_eq!(other.run("GET a").await.len(), MIB + 12);
    assert!(stalled.rest().await.len() < 30 * MIB, "it was closed");
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_reply_of_several_groups_waits_for_memory_once() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("--reply-memory 64KiB").await;
    let mut client = Client::connect(proxy.addr).await;
    for key in ["a", "z"] {
        fill_key(&mut client, key).await;
    }
    let reading = (0..4).map(|_| async {
        let mut client = Client::connect(proxy.addr).await;
        client.send("MGET a z a z\r\nGET a\r\n".repeat(3)).await;
        for _ in 0..3 {
            assert_eq!(client.reply().await.len(), 4 * (MIB + 12) + 4);
            assert_eq!(client.reply().await.len(), MIB + 12);
        }
    });
    futures_util::future::join_all(reading).await;
    proxy.shutdown().await;
}

#[tokio::test]
async fn clients_share_the_memory_for_long_requests_and_one_that_stalls_gives_way() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("--request-memory 1200KiB").await;
    let value = "x".repeat(MIB);
    let mut stalled = Client::connect(proxy.addr).await;
    let head = format!("*3\r\n$3\r\nSET\r\n$1\r\na\r\n${MIB}\r\n");
    stalled.send(format!("{head}{}", &value[..MIB / 2])).await;
    let mut other = Client::connect(proxy.addr).await;
    while stable(&mut other, "qbuf").await < MIB / 2 {}
    let writing = (0..4).map(|n| {
        let value = value.clone();
        let addr = proxy.addr;
        async move {
            let mut client = Client::connect(addr).await;
            // Short requests do not wait.
            assert_eq!(client.run(&format!("SET b{n} v")).await, "+OK\r\n");
            for _ in 0..3 {
                let pairs = format!("MSET a{n} {value} z{n} {value}");
                assert_eq!(client.run(&pairs).await, "+OK\r\n");
            }
        }
    });
    futures_util::future::join_all(writing).await;
    assert_eq!(stalled.rest().await, "", "it was closed");
    assert_eq!(other.run("EXISTS a a0 z3").await, ":2\r\n");
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_frame_that_is_worked_on_is_not_sent_again() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    assert_eq!(client.run("INCR a").await, ":1\r\n");
    cluster.faults(1, &[Fault::Hold]);
    client.put("GET a").await;
    let began = Instant::now();
    // Several times as long as a leader may be silent.
    while began.elapsed() < Duration::from_millis(2500) {
        assert!(cluster.work_on_held(1) <= 1, "it came again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    cluster.go_on(1);
    assert_eq!(client.reply().await, "$1\r\n1\r\n");
    let seen = cluster.group(1, |group| group.seen.len());
    assert_eq!(seen, 2);
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_leader_that_answers_others_is_not_silent() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    let mut other = Client::connect(proxy.addr).await;
    assert_eq!(client.run("INCR a").await, ":1\r\n");
    cluster.faults(1, &[Fault::Hold]);
    client.put("INCR a").await;
    wait_until(|| cluster.group(1, |group| group.faults.is_empty())).await;
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(2500) {
        assert_eq!(other.run("SET b 1").await, "+OK\r\n");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let copies = cluster.group(1, |group| {
        let seqs = group.seen.iter().map(|(seq, _)| seq.0);
        seqs.filter(|seq| *seq == 2).count()
    });
    assert_eq!(copies, 0, "it came again while others were answered");
    cluster.go_on(1);
    assert_eq!(client.reply().await, ":2\r\n");
    proxy.shutdown().await;
}

#[tokio::test]
async fn what_nobody_waits_for_any_more_is_stopped() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    assert_eq!(client.run("INCR a").await, ":1\r\n");
    cluster.faults(1, &[Fault::Hold]);
    client.put("GET a").await;
    wait_until(|| cluster.group(1, |group| group.faults.is_empty())).await;
    assert!(!cluster.held_are_abandoned(1));
    let mut other = Client::connect(proxy.addr).await;
    assert_eq!(
        other.run("CLIENT KILL TYPE normal SKIPME yes").await,
        ":1\r\n"
    );
    wait_until(|| cluster.held_are_abandoned(1)).await;
    proxy.shutdown().await;
}

#[tokio::test]
async fn keys_are_listed_page_by_page_and_each_page_once() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    const KEYS: usize = 70_000;
    for chunk in (0..KEYS).collect::<Vec<_>>().chunks(5000) {
        let pairs: String = chunk.iter().map(|n| format!(" {n:05} v")).collect();
        assert_eq!(
            client.run(&format!("MSET{pairs} z{} v", chunk[0])).await,
            "+OK\r\n"
        );
    }
    let all = KEYS + KEYS.div_ceil(5000);
    assert_eq!(client.run("DBSIZE").await, format!(":{all}\r\n"));
    let before = cluster.group(1, |group| group.seen.len());
    let keys = client.run("KEYS *").await;
    assert!(keys.starts_with(&format!("*{all}\r\n$5\r\n00000\r\n$5\r\n00001\r\n")));
    assert_eq!(keys.matches('$').count(), all);
    let pages = cluster.group(1, |group| group.seen.len()) - before;
    assert_eq!(pages, KEYS.div_ceil(2_000));
    assert_eq!(client.run("KEYS *0099").await.matches('$').count(), 7);
    proxy.shutdown().await;
}
