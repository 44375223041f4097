//! Commands that wait for entries of a stream.

use coterie_protocol::Stage;

use super::blocking::{started, waiting};

#[tokio::test]
async fn readers_of_a_stream_all_get_an_entry_and_consumers_compete() {
    let (cluster, proxy, mut other) = started().await;
    other.run("XADD c 1-1 f v").await;
    let mut readers = [
        waiting(&cluster, &proxy, "XREAD COUNT 1 BLOCK 0 STREAMS c $").await,
        waiting(&cluster, &proxy, "XREAD BLOCK 0 STREAMS c d 1-1 $").await,
    ];
    // Emptied again before anybody is served.
    other
        .send("MULTI\r\nXADD c 2-1 f v\r\nXDEL c 2-1\r\nEXEC\r\n")
        .await;
    for _ in 0..4 {
        other.reply().await;
    }
    assert_eq!(cluster.waiting(1), 2);
    other
        .send("MULTI\r\nXADD c 3-1 f v\r\nXADD c 3-2 f v\r\nEXEC\r\n")
        .await;
    for _ in 0..4 {
        other.reply().await;
    }
    let [one, all] = &mut readers;
    let one = one.reply().await;
    assert!(
        one.contains("3-1") && !one.contains("3-2"),
        "COUNT is kept: {one}"
    );
    let all = all.reply().await;
    assert!(all.contains("3-1") && all.contains("3-2"), "{all}");
    assert_eq!(other.run("XGROUP CREATE c g $").await, "+OK\r\n");
    let consumer = |name: &str| format!("XREADGROUP GROUP g {name} BLOCK 0 STREAMS c >");
    let mut first = waiting(&cluster, &proxy, &consumer("one")).await;
    let mut second = waiting(&cluster, &proxy, &consumer("two")).await;
    let mut third = waiting(&cluster, &proxy, &consumer("three")).await;
    other.run("XADD c 4-1 f v").await;
    assert!(first.reply().await.contains("4-1"));
    assert_eq!(cluster.waiting(1), 2);
    assert_eq!(other.run("DEL c").await, ":1\r\n");
    for client in [&mut second, &mut third] {
        let reply = client.reply().await;
        assert!(reply.starts_with("-NOGROUP "), "{reply}");
    }
}

#[tokio::test]
async fn a_reader_that_waits_lets_another_type_be() {
    let (cluster, proxy, mut other) = started().await;
    let mut waits = waiting(&cluster, &proxy, "XREAD BLOCK 0 STREAMS e $").await;
    // Whatever the key becomes before the command comes again, with an id.
    let stages: Vec<_> = cluster
        .came(1)
        .into_iter()
        .map(|(stage, _)| stage)
        .collect();
    assert!(
        stages.ends_with(&[Stage::First, Stage::Waited]),
        "{stages:?}"
    );
    other
        .send("MULTI\r\nXADD e 1-1 f v\r\nDEL e\r\nLPUSH e x\r\nEXEC\r\n")
        .await;
    for _ in 0..4 {
        other.reply().await;
    }
    assert_eq!(other.reply().await, "*3\r\n$3\r\n1-1\r\n:1\r\n:1\r\n");
    assert_eq!(cluster.waiting(1), 1);
    let refused = other.run("XREAD BLOCK 0 STREAMS e 0").await;
    assert!(refused.starts_with("-WRONGTYPE "), "{refused}");
    assert_eq!(other.run("DEL e").await, ":1\r\n");
    assert_eq!(other.run("XADD e 2-1 f v").await, "$3\r\n2-1\r\n");
    assert!(waits.reply().await.contains("2-1"));
}

/// A consumer learns that its group is gone, however the stream went.
#[tokio::test]
async fn consumers_do_not_wait_for_a_stream_that_is_gone() {
    let (cluster, proxy, mut other) = started().await;
    let gone = "-NOGROUP No such key 'e' or consumer group 'g' in XREADGROUP with GROUP option\r\n";
    let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
    for (way, reply) in [
        ("DEL e", gone),
        ("UNLINK e", gone),
        ("FLUSHALL", gone),
        ("FLUSHDB", gone),
        ("RENAME e f", gone),
        ("PEXPIRE e -1", gone),
        ("XGROUP DESTROY e g", gone),
        ("SET e text", wrong),
    ] {
        other.run("DEL e").await;
        other.run("XGROUP CREATE e g $ MKSTREAM").await;
        let line = "XREADGROUP GROUP g c BLOCK 0 STREAMS e >";
        let mut waits = waiting(&cluster, &proxy, line).await;
        other.run(way).await;
        assert_eq!(waits.reply().await, reply, "{way}");
    }
}
