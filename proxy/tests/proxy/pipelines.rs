//! Pipelines: order, batching, concurrency between groups, bounds.

use std::time::Duration;

use crate::support::{Client, Cluster, Fault, wait_until};

#[tokio::test]
async fn replies_come_in_the_order_of_the_commands() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    let mut sent = Vec::new();
    // Two groups, the proxy's own commands, errors and inline commands, all mixed.
    for at in 0..300 {
        let line = match at % 6 {
            0 => format!("SET a{at} {at}\r\n"),
            1 => format!("SET z{at} {at}\r\n"),
            2 => format!("ECHO {at}\r\n"),
            3 => "INCR counter\r\n".to_owned(),
            4 => format!("GET z{}\r\n", at - 3),
            _ => "NOSUCH x\r\n".to_owned(),
        };
        sent.extend(line.into_bytes());
    }
    client.send(&sent).await;
    for at in 0..300 {
        let expected = match at % 6 {
            0 | 1 => "+OK\r\n".to_owned(),
            2 => format!("${}\r\n{at}\r\n", at.to_string().len()),
            3 => format!(":{}\r\n", at / 6 + 1),
            4 => format!("${}\r\n{}\r\n", (at - 3).to_string().len(), at - 3),
            _ => "-ERR unknown command 'NOSUCH', with args beginning with: 'x' \r\n".to_owned(),
        };
        assert_eq!(client.reply().await, expected, "reply {at}");
    }
    let frames = cluster.group(1, |group| group.seen.len());
    assert!(frames < 100, "200 commands went in {frames} frames");
    proxy.shutdown().await;
}

#[tokio::test]
async fn one_frame_is_under_way_per_group_and_other_groups_do_not_wait() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    cluster.faults(1, &[Fault::Hold]);
    client.put("SET a 1").await;
    wait_until(|| cluster.group(1, |group| group.faults.is_empty())).await;
    for at in 0..10 {
        client.put(&format!("INCR a{at}")).await;
    }
    client.put("SET z 1").await;
    wait_until(|| cluster.group(2, |group| group.executed.len() == 1)).await;
    assert_eq!(
        cluster.group(1, |group| group.seen.len()),
        0,
        "nothing overtakes"
    );
    cluster.go_on(1);
    for _ in 0..12 {
        client.reply().await;
    }
    let frames = cluster.group(1, |group| group.executed.clone());
    assert_eq!(frames.iter().map(Vec::len).collect::<Vec<_>>(), [1, 10]);
    proxy.shutdown().await;
}

#[tokio::test]
async fn reads_alone_carry_no_number_and_mixed_frames_do() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    client.run("GET a").await;
    client.run("SET a 1").await;
    client.send("GET a\r\nSET a 2\r\nGET a\r\n").await;
    for expected in ["$1\r\n1\r\n", "+OK\r\n", "$1\r\n2\r\n"] {
        assert_eq!(client.reply().await, expected);
    }
    let numbers: Vec<_> = cluster.group(1, |g| g.seen.iter().map(|(seq, _)| seq.0).collect());
    assert_eq!(numbers, [0, 1, 2]);
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_not_read_from() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    let value = "x".repeat(100_000);
    client.run(&format!("SET a {value}")).await;
    // Far more replies than any buffer holds: this client's writes must block, not the proxy.
    let flood = "GET a\r\n".repeat(1000);
    let mut sent = 0;
    while tokio::time::timeout(Duration::from_millis(300), client.send(&flood))
        .await
        .is_ok()
    {
        sent += 1000;
        if sent >= 2_000_000 {
            break;
        }
    }
    let executed: usize = cluster.group(1, |g| g.executed.iter().map(Vec::len).sum());
    assert!(
        executed < 20_000,
        "{executed} of {sent} were executed though nobody reads"
    );
    let mut other = Client::connect(proxy.addr).await;
    let list = other.run("CLIENT LIST").await;
    let held: Vec<u64> = list
        .split("omem=")
        .skip(1)
        .filter_map(|rest| rest.split(' ').next()?.parse().ok())
        .collect();
    // `--client-reply-memory`, and one reply.
    assert!(held[0] < 230_000 && held[0] > 0, "{held:?}");
    drop(client);
    proxy.shutdown().await;
}

#[tokio::test]
async fn a_client_past_the_output_limit_is_closed() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("--client-output-buffer-limit 4MiB").await;
    let mut client = Client::connect(proxy.addr).await;
    let value = "x".repeat(100_000);
    client.run(&format!("SET a {value}")).await;
    // A single reply exceeds the limit; the others stay with the group while the client does not
    // read.
    let long = format!("MGET{}\r\n", " a".repeat(100));
    client.send(long.repeat(20)).await;
    let mut other = Client::connect(proxy.addr).await;
    loop {
        let list = other.run("CLIENT LIST").await;
        if list.matches("id=").count() == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(client.rest().await.len() < 200_000_000);
    proxy.shutdown().await;
}

#[tokio::test]
async fn what_was_read_is_answered_when_the_client_stops_sending_and_when_the_proxy_stops() {
    use tokio::io::AsyncWriteExt;
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    client.send("SET a 1\r\nINCR a\r\n").await;
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.rest().await, "+OK\r\n:2\r\n");

    let mut client = Client::connect(proxy.addr).await;
    cluster.faults(1, &[Fault::Hold]);
    client.send("INCR a\r\nINCR a\r\n").await;
    wait_until(|| cluster.group(1, |group| group.faults.is_empty())).await;
    let stopping = tokio::spawn(proxy.shutdown());
    // The listener is gone once the proxy stops.
    tokio::time::sleep(Duration::from_millis(50)).await;
    cluster.go_on(1);
    assert_eq!(client.rest().await, ":3\r\n:4\r\n");
    stopping.await.unwrap();
}

/// Unread bytes would make the kernel reset the connection, and replies would be lost.
#[tokio::test]
async fn what_has_arrived_when_the_proxy_stops_is_read_and_answered() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    cluster.faults(1, &[Fault::Hold]);
    // A command that runs alone waits for the command before it, and nothing is read meanwhile.
    client.send("INCR a\r\nDBSIZE\r\n").await;
    wait_until(|| cluster.group(1, |group| group.faults.is_empty())).await;
    client.send("INCR a\r\n").await;
    let stopping = tokio::spawn(proxy.shutdown());
    // The listener is gone once the proxy stops.
    tokio::time::sleep(Duration::from_millis(50)).await;
    cluster.go_on(1);
    assert_eq!(client.rest().await, ":1\r\n:1\r\n:2\r\n");
    stopping.await.unwrap();
}

/// A group executes as many commands as have room for their replies; the rest is sent again, in
/// order.
#[tokio::test]
async fn replies_that_are_too_long_for_one_frame_come_in_several() {
    let cluster = Cluster::of_two();
    let proxy = cluster.proxy("").await;
    let mut client = Client::connect(proxy.addr).await;
    let value = "v".repeat(1 << 20);
    assert_eq!(client.run(&format!("SET big {value}")).await, "+OK\r\n");
    // 100 MiB of replies, then a reply of 70 MiB that needs its own frame, then a write.
    let mut sent = "INCR n\r\n".to_owned();
    sent.push_str(&"GET big\r\n".repeat(100));
    sent.push_str(&format!("MGET{}\r\n", " big".repeat(70)));
    sent.push_str("INCR n\r\n");
    client.send(&sent).await;
    assert_eq!(client.reply().await, ":1\r\n");
    for _ in 0..100 {
        assert_eq!(client.reply().await.len(), value.len() + 12);
    }
    let long = client.reply().await;
    assert!(long.starts_with("*70\r\n$1048576\r\n"), "{long:.80}");
    assert_eq!(client.reply().await, ":2\r\n");
    let executed = cluster.group(1, |group| group.executed.concat());
    let gets = executed.iter().filter(|line| *line == "GET big");
    assert!(gets.count() >= 100);
    proxy.shutdown().await;
}
