//! The doors of a replica: frames that are refused before they reach the log or the store.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    unreachable_pub,
    reason = "the common module is shared by several tests"
)]

mod common;

use common::{FENCE, SOURCE, World};
use coterie_protocol::server::{ServerAnswer, ServerRequest};
use coterie_protocol::{FrameFlags, FrameReply, Refusal};
use coterie_types::GroupId;

/// A group whose only replica was never told its voters.
const LEADERLESS: GroupId = GroupId(3);

/// More frames than it takes for one of them to be in the sample of the load.
const MANY: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_room_only_frames_that_may_grow_are_refused() {
    let mut world = World::start(&[]).await;
    world.run(SOURCE, "set k 1").await;
    world.stop_node().await;
    world.start_node(&["--disk-reserve", "1000TiB"]).await;
    world.wait_leaders().await;
    for lines in [&["set k 2"][..], &["del none", "append k x"]] {
        let reply = world.send(SOURCE, lines, false).await;
        assert_eq!(reply, FrameReply::Refused(Refusal::DiskFull), "{lines:?}");
    }
    assert_eq!(world.run(SOURCE, "get k").await, "$1 1 ");
    for _ in 0..MANY {
        world.run(SOURCE, "del none").await;
    }
    assert_eq!(world.run(SOURCE, "del k").await, ":1 ");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_frame_is_refused_as_such() {
    let world = World::start(&[]).await;
    for flags in [FrameFlags::READ_ONLY, FrameFlags::default()] {
        for _ in 0..MANY {
            let reply = world.send_bytes(SOURCE, &[flags.0, 1, 2, 3]).await;
            let is_malformed = matches!(reply, FrameReply::Refused(Refusal::Malformed { .. }));
            assert!(is_malformed, "{flags:?}: {reply:?}");
        }
    }
    assert_eq!(world.run(SOURCE, "set k 1").await, "+OK ");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_does_not_lead_takes_no_write() {
    let world = World::start(&[]).await;
    let create = ServerRequest::CreateReplica {
        group_id: LEADERLESS,
        fence: FENCE,
    };
    assert_eq!(world.ask(create).await, ServerAnswer::Ok);
    let reply = world.send_bytes(LEADERLESS, &[0, 1, 2, 3]).await;
    let is_refused = matches!(
        reply,
        FrameReply::Refused(Refusal::NotLeader { leader: None, .. })
    );
    assert!(is_refused, "{reply:?}");
    world.stop().await;
}
