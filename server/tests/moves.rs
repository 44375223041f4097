//! A range moves between two groups of a node while it is used: the node's answers, and the steps
//! it takes by itself.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    unreachable_pub,
    reason = "the common module is shared by several tests"
)]

mod common;

use bytes::{BufMut, BytesMut};
use common::{DESTINATION, FENCE, RANGE, SOURCE, World, range};
use coterie_protocol::server::{ImportState, ServerAnswer, ServerRequest};
use coterie_protocol::{FrameReply, Refusal};
use coterie_types::RangeId;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_is_served_throughout_its_move() {
    // Slow enough for the copy to be in progress while the test looks.
    let world = World::start(&["--move-rate", "64KiB"]).await;
    let padding = "x".repeat(1000);
    for n in 0..300 {
        world.run(SOURCE, &format!("set k{n:03} {padding}")).await;
    }
    world.run(SOURCE, "set counter 41").await;
    world.begin().await;
    assert_eq!(world.import_state().await, ImportState::Waiting);
    world.hand_off().await;

    let refused = world.send(SOURCE, &["set k000 lost"], false).await;
    let owner = vec![range(2, DESTINATION)];
    let expected = FrameReply::Refused(Refusal::Moved { ranges: owner });
    assert_eq!(refused, expected);
    let refused = world.send(SOURCE, &["get k000"], true).await;
    assert_eq!(refused, expected);

    assert!(matches!(
        world.import_state().await,
        ImportState::Copying { .. }
    ));
    assert_eq!(world.run(DESTINATION, "incr counter").await, ":42 ");
    assert_eq!(world.run(DESTINATION, "get counter").await, "$2 42 ");
    assert_eq!(
        world.run(DESTINATION, "get k299").await,
        format!("$1000 {padding} ")
    );
    assert_eq!(world.run(DESTINATION, "get nothing").await, "$-1 ");
    assert_eq!(world.run(DESTINATION, "del k298 nothing").await, ":1 ");
    assert_eq!(world.run(DESTINATION, "get k298").await, "$-1 ");
    assert_eq!(world.run(DESTINATION, "set new 1").await, "+OK ");
    assert_eq!(
        world.run(DESTINATION, "mget k298 new counter").await,
        "*3 $-1 $1 1 $2 42 "
    );
    assert_eq!(world.run(DESTINATION, "_count k z").await, ":300 ");
    let keys = world.run(DESTINATION, "_keys k29 k3 *").await;
    assert_eq!(keys.matches("k29").count(), 9, "{keys}");
    assert!(matches!(
        world.import_state().await,
        ImportState::Copying { .. }
    ));
    assert_eq!(world.status(DESTINATION).await.importing, [RANGE]);

    let many: Vec<String> = (0..298).map(|n| format!("k{n:03}")).collect();
    let touch = format!("touch {}", many.join(" "));
    assert_eq!(world.run(DESTINATION, &touch).await, ":298 ");
    let keep = many.iter().map(|key| format!("{key} {padding}"));
    let mset = format!("mset {}", keep.collect::<Vec<_>>().join(" "));
    assert_eq!(world.run(DESTINATION, &mset).await, "+OK ");

    world.wait_finished().await;
    assert_eq!(world.status(SOURCE).await.frozen.len(), 1);
    world.drop_frozen().await;
    assert!(world.status(SOURCE).await.frozen.is_empty());
    assert_eq!(world.run(DESTINATION, "_count k z").await, ":300 ");
    assert_eq!(world.run(DESTINATION, "get k298").await, "$-1 ");
    assert_eq!(
        world.run(DESTINATION, "get k000").await,
        format!("$1000 {padding} ")
    );
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flushed_range_stays_empty_when_the_rest_arrives() {
    let world = World::start(&["--move-rate", "64KiB"]).await;
    let padding = "x".repeat(1000);
    for n in 0..200 {
        world.run(SOURCE, &format!("set k{n:03} {padding}")).await;
    }
    world.begin().await;
    world.hand_off().await;
    world.run(DESTINATION, "set k100 kept").await;
    let mut flush = BytesMut::from(&b"_flush k150"[..]);
    flush.put_slice(b" k160");
    world
        .run(DESTINATION, std::str::from_utf8(&flush).unwrap())
        .await;
    world.run(DESTINATION, "set k155 again").await;
    assert_eq!(world.run(DESTINATION, "_count k z").await, ":191 ");
    world.wait_finished().await;
    assert_eq!(world.run(DESTINATION, "_count k z").await, ":191 ");
    assert_eq!(
        world.run(DESTINATION, "mget k100 k155 k156").await,
        "*3 $4 kept $5 again $-1 "
    );
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_is_cut_by_size_and_joined() {
    let world = World::start(&[]).await;
    for n in 0..100 {
        world.run(SOURCE, &format!("set k{n:03} 1")).await;
    }
    let half = ServerRequest::SplitPoint {
        group_id: SOURCE,
        range_id: RANGE,
    };
    let ServerAnswer::SplitPoint { at: Some(at), .. } = world.ask(half).await else {
        panic!("no split point");
    };
    assert_eq!(at, "k050");
    let split = ServerRequest::SplitRange {
        group_id: SOURCE,
        range: range(1, SOURCE),
        at: at.clone(),
        right_id: RangeId(2),
        fence: FENCE,
    };
    assert_eq!(world.ask(split).await, ServerAnswer::Ok);
    let ranges = world.status(SOURCE).await.ranges;
    let [left, right] = ranges.as_slice() else {
        panic!("{ranges:?}");
    };
    assert_eq!(left.bounds.end, Some(at));
    assert_eq!(world.run(SOURCE, "mget k000 k099").await, "*2 $1 1 $1 1 ");
    let merge = ServerRequest::MergeRanges {
        group_id: SOURCE,
        left: left.clone(),
        right: right.clone(),
        fence: FENCE,
    };
    assert_eq!(world.ask(merge).await, ServerAnswer::Ok);
    assert_eq!(world.status(SOURCE).await.ranges, [range(3, SOURCE)]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_digest_is_of_one_log_index() {
    let world = World::start(&[]).await;
    let mut digests = Vec::new();
    for (nonce, line) in [(7, "set a 1"), (8, "get a"), (9, "set a 2")] {
        world.run(SOURCE, line).await;
        let take = ServerRequest::TakeDigest {
            group_id: SOURCE,
            nonce,
            fence: 0,
        };
        assert_eq!(world.ask(take).await, ServerAnswer::Ok);
        digests.push(loop {
            let group_id = SOURCE;
            match world.ask(ServerRequest::Digest { group_id, nonce }).await {
                ServerAnswer::Digest(Some(digest)) => break digest,
                ServerAnswer::Digest(None) => tokio::task::yield_now().await,
                answer => panic!("{answer:?}"),
            }
        });
    }
    assert_eq!(digests[0].checksum, digests[1].checksum);
    assert_ne!(digests[0].checksum, digests[2].checksum);
    assert!(digests[0].index < digests[1].index && digests[0].records == 1);
    world.stop().await;
}
