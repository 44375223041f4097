//! Moves that are stuck: for lack of room, of an owner that can be told, of a source that can be
//! read. They report why, do no harm, and hold up no other move.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    unreachable_pub,
    reason = "the common module is shared by several tests"
)]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::{AFTER, DESTINATION, FENCE, LONG, RANGE, SOURCE, World, put, range};
use coterie_meta_client::MetaClient;
use coterie_protocol::frozen::{FrozenAnswer, FrozenRead, FrozenRequest};
use coterie_protocol::meta::{Command, ControllerOp, Outcome};
use coterie_protocol::server::{ImportState, ServerAnswer, ServerRequest};
use coterie_protocol::{FrameReply, Refusal, decode, encode};
use coterie_rpc::{Handler, Request, Responder, Server, Token};
use coterie_types::{
    Epoch, GroupId, KeyRange, NodeId, RangeDescriptor, RangeId, TableId, UnixMillis,
};

/// A group that is nowhere, or on a node that the test plays.
const ELSEWHERE: GroupId = GroupId(3);
/// A range of another table, which comes from `ELSEWHERE`.
const OTHER: RangeId = RangeId(7);

impl World {
    /// Makes the destination serve and import all of table 1 from `ELSEWHERE`.
    async fn import_other(&self) {
        let other = RangeDescriptor {
            range_id: OTHER,
            epoch: AFTER,
            bounds: KeyRange::all(TableId(1)),
            group_id: DESTINATION,
        };
        self.begin_import(other, ELSEWHERE).await;
        let activate = ServerRequest::Activate {
            group_id: DESTINATION,
            range_id: OTHER,
            epoch: AFTER,
            clock: UnixMillis(0),
        };
        assert_eq!(self.ask(activate).await, ServerAnswer::Ok);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_copied_or_fetched_while_there_is_no_room() {
    let mut world = World::start(&[]).await;
    for n in 0..100 {
        world.run(SOURCE, &format!("set k{n:03} 1")).await;
    }
    world.begin().await;
    world.stop_node().await;
    world.start_node(&["--disk-reserve", "1000TiB"]).await;
    world.wait_leaders().await;
    world.hand_off().await;
    let problem = world.wait_problem(RANGE).await;
    assert!(problem.starts_with("no room"), "{problem}");
    let full = FrameReply::Refused(Refusal::DiskFull);
    for line in ["set k000 2", "del k000", "persist k000"] {
        assert_eq!(
            world.send(DESTINATION, &[line], false).await,
            full,
            "{line}"
        );
    }
    assert_eq!(world.run(DESTINATION, "get k000").await, "$1 1 ");
    let ImportState::Copying { records: 0, .. } = world.import_state().await else {
        panic!("{:?}", world.import_state().await);
    };

    world.stop_node().await;
    world.start_node(&["--disk-reserve", "0B"]).await;
    world.wait_leaders().await;
    world.wait_finished().await;
    assert_eq!(world.run(DESTINATION, "del k000").await, ":1 ");
    assert_eq!(world.run(DESTINATION, "_count k z").await, ":99 ");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_that_cannot_be_told_holds_up_no_other() {
    let world = World::start(&[]).await;
    let at = Bytes::from_static(b"k5");
    let split = ServerRequest::SplitRange {
        group_id: SOURCE,
        range: range(1, SOURCE),
        at: at.clone(),
        right_id: RangeId(2),
        fence: FENCE,
    };
    assert_eq!(world.ask(split).await, ServerAnswer::Ok);
    let part = |range_id, start: Bytes, end, group_id| RangeDescriptor {
        range_id,
        epoch: Epoch(3),
        bounds: KeyRange {
            table: TableId(0),
            start,
            end,
        },
        group_id,
    };
    let left = part(RANGE, Bytes::new(), Some(at.clone()), ELSEWHERE);
    let right = part(RangeId(2), at, None, DESTINATION);
    world.begin_import(right.clone(), SOURCE).await;
    for (range, is_told) in [(left, false), (right, true)] {
        let group_id = SOURCE;
        let fence = FENCE;
        let handed = ServerRequest::HandOff {
            group_id,
            range,
            fence,
        };
        let answer = world.ask(handed).await;
        let ServerAnswer::HandedOff { activated, .. } = answer else {
            panic!("{answer:?}");
        };
        assert_eq!(activated, is_told);
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_cannot_be_read_holds_up_no_other() {
    let world = World::start(&[]).await;
    world.run(SOURCE, "set k 1").await;
    world.import_other().await;
    let problem = world.wait_problem(OTHER).await;
    assert!(problem.contains("no members"), "{problem}");
    world.begin().await;
    world.hand_off().await;
    world.wait_finished().await;
    assert_eq!(world.wait_problem(OTHER).await, problem);
    world.stop().await;
}

/// A source whose range is empty. Unless it is honest, its digest claims a record.
#[derive(Default)]
struct Source {
    /// Times of the requests for the digest.
    digests: Mutex<Vec<Instant>>,
    is_honest: AtomicBool,
}

impl Source {
    fn digests(&self) -> Vec<Instant> {
        self.digests.lock().unwrap().clone()
    }
}

impl Handler for Source {
    fn handle(&self, request: Request, responder: Responder) {
        let asked: FrozenRequest = decode(&request.body).unwrap();
        let answer = match asked.read {
            FrozenRead::Size => FrozenAnswer::Size(1),
            FrozenRead::Digest => {
                self.digests.lock().unwrap().push(Instant::now());
                let records = u64::from(!self.is_honest.load(Ordering::Relaxed));
                FrozenAnswer::Digest {
                    records,
                    bytes: 0,
                    checksum: 0,
                }
            }
            _ => FrozenAnswer::Records {
                records: Vec::new(),
                next: None,
            },
        };
        responder.send(encode(&answer));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_says_otherwise_is_asked_again_ever_more_seldom() {
    let world = World::start(&[]).await;
    let source = Arc::new(Source::default());
    let handler: Arc<dyn Handler> = Arc::<Source>::clone(&source);
    let server = Server::bind("127.0.0.1:0", Token::new("t"), handler);
    let server = server.await.unwrap();
    let meta = MetaClient::new(world.rpc.clone(), vec![world.meta_addr.clone()]);
    let register = Command::RegisterNode {
        token: 2,
        addr: server.local_addr().to_string(),
        zone: String::new(),
        host: String::new(),
        capacity_bytes: 1,
    };
    let registered = meta.propose(register, LONG).await.unwrap();
    let Outcome::Registered {
        node_id: NodeId(node_id),
        ..
    } = registered
    else {
        panic!("{registered:?}");
    };
    let ids = ControllerOp::AllocateIds {
        groups: 1,
        ranges: 0,
        jobs: 0,
    };
    world.change(vec![ids, put(ELSEWHERE, node_id)]).await;

    world.import_other().await;
    while source.digests().len() < 3 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // The first pause is a second, the next two.
    let asked = source.digests();
    assert!(asked[1] - asked[0] >= Duration::from_secs(1), "{asked:?}");
    assert!(asked[2] - asked[1] >= Duration::from_secs(2), "{asked:?}");
    let problem = world.wait_problem(OTHER).await;
    assert!(problem.contains("is not what the source has"), "{problem}");

    source.is_honest.store(true, Ordering::Relaxed);
    while !matches!(
        world.import_state_of(OTHER).await,
        ImportState::Finished { .. }
    ) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    world.stop().await;
    server.shutdown().await;
}
