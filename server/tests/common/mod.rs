//! A node and a meta in this process; the test plays the controller.
#![allow(dead_code, reason = "not every test needs all of it")]

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
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

/// The controller's fencing number, used by the test.
pub const FENCE: u64 = 1;
pub const LONG: Duration = Duration::from_secs(30);
pub const SOURCE: GroupId = GroupId(1);
pub const DESTINATION: GroupId = GroupId(2);
pub const RANGE: RangeId = RangeId(1);
pub const AFTER: Epoch = Epoch(2);

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    config: coterie_server::Config,
}

/// A node with two groups; the first owns all of table 0.
pub struct World {
    pub rpc: Client,
    pub meta_addr: String,
    pub dir: tempfile::TempDir,
    addr: String,
    seq: AtomicU64,
    node: Option<coterie_server::Handle>,
    meta: Option<coterie_meta::Handle>,
}

/// The range of table 0.
pub fn range(epoch: u64, group_id: GroupId) -> RangeDescriptor {
    RangeDescriptor {
        range_id: RANGE,
        epoch: Epoch(epoch),
        bounds: KeyRange::all(TableId(0)),
        group_id,
    }
}

/// The change of meta's map that places a group's only replica on a node.
pub fn put(group_id: GroupId, node_id: u64) -> ControllerOp {
    ControllerOp::PutGroup(GroupDescriptor {
        group_id,
        replicas: vec![Replica {
            node_id: NodeId(node_id),
            role: Role::Voter,
        }],
    })
}

impl World {
    pub async fn start(flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let token = || ClusterToken::given("t");
        let meta = coterie_meta::Config::alone("127.0.0.1:0", dir.path().join("meta"), token());
        let meta = coterie_meta::start(meta).await.unwrap();
        let mut world = Self {
            rpc: Client::new(Token::new("t")),
            meta_addr: meta.addr.to_string(),
            dir,
            addr: String::new(),
            seq: AtomicU64::new(0),
            node: None,
            meta: Some(meta),
        };
        world.start_node(flags).await;
        world.make_groups().await;
        world
    }

    pub async fn start_node(&mut self, flags: &[&str]) {
        let server_dir = self.server_dir().display().to_string();
        let base = [
            "server",
            "--listen",
            "127.0.0.1:0",
            "--meta",
            &self.meta_addr,
            "--dir",
            &server_dir,
            "--cluster-token",
            "t",
            "--fsync",
            "never",
        ];
        let flags = Flags::parse_from(base.iter().chain(flags));
        let node = coterie_server::start(flags.config).await.unwrap();
        self.addr = node.addr.to_string();
        self.node = Some(node);
    }

    pub async fn stop_node(&mut self) {
        self.node.take().unwrap().shutdown().await;
    }

    pub fn server_dir(&self) -> PathBuf {
        self.dir.path().join("server")
    }

    /// Changes meta's map, as the controller does.
    pub async fn change(&self, ops: Vec<ControllerOp>) {
        let meta = MetaClient::new(self.rpc.clone(), vec![self.meta_addr.clone()]);
        let lease = Command::AcquireLease {
            holder: 1,
            ttl_ms: 600_000,
            now: UnixMillis(0),
        };
        let Outcome::Leased { fence } = meta.propose(lease, LONG).await.unwrap() else {
            panic!("no lease");
        };
        assert_eq!(fence, FENCE);
        meta.propose(Command::Controller { fence, ops }, LONG)
            .await
            .unwrap();
    }

    async fn make_groups(&self) {
        let ids = ControllerOp::AllocateIds {
            groups: 2,
            ranges: 1,
            jobs: 0,
        };
        let ops = vec![ids, put(SOURCE, 1), put(DESTINATION, 1)];
        self.change(ops).await;
        for (group_id, ranges) in [(SOURCE, vec![range(1, SOURCE)]), (DESTINATION, vec![])] {
            let fence = FENCE;
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

    pub async fn ask(&self, request: ServerRequest) -> ServerAnswer {
        let answer = self
            .rpc
            .call(&self.addr, method::SERVER_ADMIN, encode(&request), LONG);
        decode(&answer.await.unwrap()).unwrap()
    }

    pub async fn status(&self, group: GroupId) -> ReplicaStatus {
        let ServerAnswer::Status(all) = self.ask(ServerRequest::Status).await else {
            panic!("no status");
        };
        all.into_iter().find(|s| s.group_id == group).unwrap()
    }

    /// Sends a frame of commands to a group, and retries while the group answers that keys are
    /// moving.
    pub async fn send(&self, group: GroupId, lines: &[&str], is_read: bool) -> FrameReply {
        self.send_in(TableId(0), group, lines, is_read).await
    }

    /// The same, with keys of a table.
    pub async fn send_in(
        &self,
        table: TableId,
        group: GroupId,
        lines: &[&str],
        is_read: bool,
    ) -> FrameReply {
        let seq = if is_read {
            0
        } else {
            1 + self.seq.fetch_add(1, Ordering::Relaxed)
        };
        let frame = Frame {
            flags: if is_read {
                FrameFlags::READ_ONLY
            } else {
                FrameFlags::default()
            },
            session: SessionId(group.0),
            seq: FrameSeq(seq),
            acknowledged_below: FrameSeq(1),
            reply_room: None,
            tracker: None,
            wait: None,
            watches: vec![],
            commands: lines
                .iter()
                .map(|line| FrameCommand {
                    table,
                    args: line
                        .split(' ')
                        .map(|word| Bytes::copy_from_slice(word.as_bytes()))
                        .collect(),
                })
                .collect(),
        };
        let mut bytes = BytesMut::new();
        frame.encode(&mut bytes);
        for _ in 0..1000 {
            match self.send_bytes(group, &bytes).await {
                FrameReply::Refused(Refusal::Moving | Refusal::NotLeader { .. }) => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                reply => return reply,
            }
        }
        panic!("{lines:?} is not answered");
    }

    /// Sends the bytes of a frame to a group, once.
    pub async fn send_bytes(&self, group: GroupId, frame: &[u8]) -> FrameReply {
        let mut body = BytesMut::new();
        varint::put(&mut body, group.0);
        body.extend_from_slice(frame);
        let body = body.freeze();
        let call = self.rpc.call(&self.addr, method::EXECUTE, body, LONG);
        FrameReply::decode(call.await.unwrap()).unwrap()
    }

    /// Calls a method of the node.
    pub async fn call(&self, method: u16, body: Bytes) -> Bytes {
        let call = self.rpc.call(&self.addr, method, body, LONG);
        call.await.unwrap()
    }

    pub async fn run(&self, group: GroupId, line: &str) -> String {
        let name = line.split(' ').next().unwrap();
        let is_read = ["get", "mget", "_count", "_keys", "_scan", "exists", "llen"].contains(&name);
        match self.send(group, &[line], is_read).await {
            FrameReply::Done(replies) => String::from_utf8_lossy(&replies[0]).replace("\r\n", " "),
            other => panic!("{line}: {other:?}"),
        }
    }

    pub async fn begin(&self) {
        self.begin_import(range(2, DESTINATION), SOURCE).await;
    }

    /// Announces a range that comes from `source` to the destination.
    pub async fn begin_import(&self, range: RangeDescriptor, source: GroupId) {
        let begin = ServerRequest::BeginImport {
            group_id: DESTINATION,
            range,
            source,
            fence: FENCE,
        };
        assert_eq!(self.ask(begin).await, ServerAnswer::Ok);
    }

    /// Waits until the node's groups have elected it again.
    pub async fn wait_leaders(&self) {
        for group in [SOURCE, DESTINATION] {
            while !self.status(group).await.serving {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }

    pub async fn hand_off(&self) {
        let handed = ServerRequest::HandOff {
            group_id: SOURCE,
            range: range(2, DESTINATION),
            fence: FENCE,
        };
        for _twice in 0..2 {
            let answer = self.ask(handed.clone()).await;
            let ServerAnswer::HandedOff { activated, .. } = answer else {
                panic!("{answer:?}");
            };
            assert!(activated, "the source tells the destination by itself");
        }
    }

    pub async fn import_state(&self) -> ImportState {
        self.import_state_of(RANGE).await
    }

    pub async fn import_state_of(&self, range_id: RangeId) -> ImportState {
        let state = ServerRequest::ImportState {
            group_id: DESTINATION,
            range_id,
            epoch: AFTER,
        };
        match self.ask(state).await {
            ServerAnswer::Import(state) => state,
            answer => panic!("{answer:?}"),
        }
    }

    /// Waits until the import of a range is stuck; returns the reason.
    pub async fn wait_problem(&self, range_id: RangeId) -> String {
        for _ in 0..3000 {
            if let ImportState::Copying {
                problem: Some(problem),
                ..
            } = self.import_state_of(range_id).await
            {
                return problem;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{:?}", self.import_state_of(range_id).await);
    }

    pub async fn wait_finished(&self) {
        for _ in 0..3000 {
            if let ImportState::Finished { .. } = self.import_state().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{:?}", self.import_state().await);
    }

    pub async fn drop_frozen(&self) {
        let drop = ServerRequest::DropFrozen {
            group_id: SOURCE,
            range_id: RANGE,
            epoch: AFTER,
            fence: FENCE,
        };
        for _twice in 0..2 {
            assert_eq!(self.ask(drop.clone()).await, ServerAnswer::Ok);
        }
    }

    pub async fn stop(mut self) {
        self.node.take().unwrap().shutdown().await;
        self.meta.take().unwrap().shutdown().await;
    }
}
