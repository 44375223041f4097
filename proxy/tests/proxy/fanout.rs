//! Commands over several groups, and over all ranges.

use std::time::{Duration, Instant};

use coterie_types::{Epoch, GroupId, RangeDescriptor};

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
    // A single group, several groups, and several only by the word without a value: nothing is
    // done.
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

/// A table of `count` ranges, dealt to two groups in turn.
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

    // The map is stale: a third group owns some of the ranges by now. Only those are asked again.
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
