//! Two groups of one node, between which a range moves while it is used: what the node answers, and
//! what it does by itself. The controller's part is played by the test.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use clap::Parser;
use coterie_config::ClusterToken;
use coterie_meta_client::MetaClient;
use coterie_protocol::meta::{Command, ControllerOp, Outcome};
use coterie_protocol::server::{ImportState, ReplicaStatus, ServerAnswer, ServerRequest};
use coterie_protocol::{
    Frame, FrameCommand, FrameFlags, FrameReply, Refusal, decode, encode, method,
};
use coterie_rpc::{Client, Token};
use coterie_types::{
    Epoch, FrameSeq, GroupDescriptor, GroupId, KeyRange, NodeId, RangeDescriptor, RangeId, Replica,
    Role, SessionId, TableId, UnixMillis, varint,
};

const LONG: Duration = Duration::from_secs(30);
const SOURCE: GroupId = GroupId(1);
const DESTINATION: GroupId = GroupId(2);
const RANGE: RangeId = RangeId(1);
const AFTER: Epoch = Epoch(2);

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    config: coterie_server::Config,
}

/// A node with two groups; the first one owns all of table 0.
struct World {
    rpc: Client,
    addr: String,
    seq: AtomicU64,
    node: Option<coterie_server::Handle>,
    meta: Option<coterie_meta::Handle>,
    _dir: tempfile::TempDir,
}

fn range(epoch: u64, group_id: GroupId) -> RangeDescriptor {
    RangeDescriptor {
        range_id: RANGE,
        epoch: Epoch(epoch),
        bounds: KeyRange::all(TableId(0)),
        group_id,
    }
}

impl World {
    async fn start(flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let token = || ClusterToken::given("t");
        let meta = coterie_meta::Config::alone("127.0.0.1:0", dir.path().join("meta"), token());
        let meta = coterie_meta::start(meta).await.unwrap();
        let meta_addr = meta.addr.to_string();
        let server_dir = dir.path().join("server").display().to_string();
        let base = [
            "server",
            "--listen",
            "127.0.0.1:0",
            "--meta",
            &meta_addr,
            "--dir",
            &server_dir,
            "--cluster-token",
            "t",
            "--fsync",
            "never",
        ];
        let flags = Flags::parse_from(base.iter().chain(flags));
        let node = coterie_server::start(flags.config).await.unwrap();
        let rpc = Client::new(Token::new("t"));
        let world = Self {
            addr: node.addr.to_string(),
            seq: AtomicU64::new(0),
            rpc,
            node: Some(node),
            meta: Some(meta),
            _dir: dir,
        };
        world.make_groups(&meta_addr).await;
        world
    }

    /// Puts the groups into meta's map, where the node looks for them, and makes them.
    async fn make_groups(&self, meta_addr: &str) {
        let meta = MetaClient::new(self.rpc.clone(), vec![meta_addr.to_owned()]);
        let lease = Command::AcquireLease {
            holder: 1,
            ttl_ms: 600_000,
            now: UnixMillis(0),
        };
        let Outcome::Leased { fence } = meta.propose(lease, LONG).await.unwrap() else {
            panic!("no lease");
        };
        let put = |group_id| {
            ControllerOp::PutGroup(GroupDescriptor {
                group_id,
                replicas: vec![Replica {
                    node_id: NodeId(1),
                    role: Role::Voter,
                }],
            })
        };
        let ids = ControllerOp::AllocateIds {
            groups: 2,
            ranges: 1,
            jobs: 0,
        };
        let ops = vec![ids, put(SOURCE), put(DESTINATION)];
        meta.propose(Command::Controller { fence, ops }, LONG)
            .await
            .unwrap();
        for (group_id, ranges) in [(SOURCE, vec![range(1, SOURCE)]), (DESTINATION, vec![])] {
            let create = ServerRequest::CreateReplica { group_id, fence };
            assert_eq!(self.ask(create).await, ServerAnswer::Ok);
            let init = ServerRequest::InitGroup {
                group_id,
                voters: vec![NodeId(1)],
                ranges,
                fence,
            };
            assert_eq!(self.ask(init).await, ServerAnswer::Ok);
        }
    }

    async fn ask(&self, request: ServerRequest) -> ServerAnswer {
        let answer = self
            .rpc
            .call(&self.addr, method::SERVER_ADMIN, encode(&request), LONG);
        decode(&answer.await.unwrap()).unwrap()
    }

    async fn status(&self, group: GroupId) -> ReplicaStatus {
        let ServerAnswer::Status(all) = self.ask(ServerRequest::Status).await else {
            panic!("no status");
        };
        all.into_iter().find(|s| s.group_id == group).unwrap()
    }

    /// Sends a frame of commands to a group; again while it says that keys are moving.
    async fn send(&self, group: GroupId, lines: &[&str], is_read: bool) -> FrameReply {
        let seq = match is_read {
            true => 0,
            false => 1 + self.seq.fetch_add(1, Ordering::Relaxed),
        };
        let frame = Frame {
            flags: match is_read {
                true => FrameFlags::READ_ONLY,
                false => FrameFlags::default(),
            },
            session: SessionId(group.0),
            seq: FrameSeq(seq),
            acknowledged_below: FrameSeq(1),
            watches: vec![],
            commands: lines
                .iter()
                .map(|line| FrameCommand {
                    table: TableId(0),
                    args: line
                        .split(' ')
                        .map(|word| Bytes::copy_from_slice(word.as_bytes()))
                        .collect(),
                })
                .collect(),
        };
        let mut body = BytesMut::new();
        varint::put(&mut body, group.0);
        frame.encode(&mut body);
        let body = body.freeze();
        for _ in 0..1000 {
            let call = self
                .rpc
                .call(&self.addr, method::EXECUTE, body.clone(), LONG);
            let reply = FrameReply::decode(call.await.unwrap()).unwrap();
            match reply {
                FrameReply::Refused(Refusal::Moving | Refusal::NotLeader { .. }) => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                reply => return reply,
            }
        }
        panic!("{lines:?} is not answered");
    }

    async fn run(&self, group: GroupId, line: &str) -> String {
        let name = line.split(' ').next().unwrap();
        let is_read = ["get", "mget", "_count", "_keys", "_scan", "exists"].contains(&name);
        match self.send(group, &[line], is_read).await {
            FrameReply::Done(replies) => String::from_utf8_lossy(&replies[0]).replace("\r\n", " "),
            FrameReply::Refused(refusal) => panic!("{line}: {refusal:?}"),
        }
    }

    async fn begin(&self) {
        let begin = ServerRequest::BeginImport {
            group_id: DESTINATION,
            range: range(2, DESTINATION),
            source: SOURCE,
            fence: 1,
        };
        assert_eq!(self.ask(begin).await, ServerAnswer::Ok);
    }

    async fn hand_off(&self) {
        let handed = ServerRequest::HandOff {
            group_id: SOURCE,
            range: range(2, DESTINATION),
            fence: 1,
        };
        for _twice in 0..2 {
            let answer = self.ask(handed.clone()).await;
            let ServerAnswer::HandedOff { activated, .. } = answer else {
                panic!("{answer:?}");
            };
            assert!(activated, "the source tells the destination by itself");
        }
    }

    async fn import_state(&self) -> ImportState {
        let state = ServerRequest::ImportState {
            group_id: DESTINATION,
            range_id: RANGE,
            epoch: AFTER,
        };
        match self.ask(state).await {
            ServerAnswer::Import(state) => state,
            answer => panic!("{answer:?}"),
        }
    }

    async fn wait_finished(&self) {
        for _ in 0..3000 {
            if let ImportState::Finished { .. } = self.import_state().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{:?}", self.import_state().await);
    }

    async fn drop_frozen(&self) {
        let drop = ServerRequest::DropFrozen {
            group_id: SOURCE,
            range_id: RANGE,
            epoch: AFTER,
            fence: 1,
        };
        for _twice in 0..2 {
            assert_eq!(self.ask(drop.clone()).await, ServerAnswer::Ok);
        }
    }

    async fn stop(mut self) {
        self.node.take().unwrap().shutdown().await;
        self.meta.take().unwrap().shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_is_served_throughout_its_move() {
    // So slow that the copy is under way while the test looks.
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
        fence: 1,
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
        fence: 1,
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
