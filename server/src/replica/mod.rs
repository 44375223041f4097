//! One replica: a Raft group's state machine over a store, and what is asked of it.
//!
//! `machine` applies committed entries and `view` shows the store to them; `propose` gathers frames
//! into entries; `read` serves reads outside the log; `sweep` removes what has expired. `shared` is
//! what they know of each other. A replica's directory is `replicas/<group id>/` (`place`).

mod machine;
mod place;
mod propose;
mod read;
mod shared;
mod sweep;
mod view;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use coterie_group::Body;
use coterie_protocol::server::ReplicaStatus;
use coterie_protocol::{FrameReply, Refusal};
use coterie_raft::{Group, ProposeError, RaftNode};
use coterie_rpc::Responder;
use coterie_storage::{Engine, RocksShared};
use coterie_types::{GroupId, RangeDescriptor, varint};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) use place::groups_in;
pub(crate) use propose::Proposer;
pub use read::ReadMode;
pub(crate) use read::Reads;
pub(crate) use shared::Shared;

use crate::error::RunError;
use machine::Machine;

/// What all replicas of a node have in common.
#[derive(Clone)]
pub(crate) struct Settings {
    /// What their stores share.
    pub(crate) rocks: RocksShared,
    /// How leaders make sure that they may serve reads.
    pub(crate) read_mode: ReadMode,
    /// Bytes of the longest value that commands may make while this node leads.
    pub(crate) value_bytes_max: u64,
}

/// A running replica. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Replica {
    pub(crate) group: Group,
    pub(crate) shared: Arc<Shared>,
    pub(crate) proposer: Proposer,
    pub(crate) reads: Reads,
    tasks: Arc<Tasks>,
}

struct Tasks {
    stop: CancellationToken,
    running: tokio::sync::Mutex<Vec<JoinHandle<()>>>,
}

impl Replica {
    /// Opens the replica in `dir` (made if it is not there) and starts its group.
    pub(crate) async fn start(
        group_id: GroupId,
        dir: &Path,
        settings: &Settings,
        raft: &RaftNode,
    ) -> Result<Self, RunError> {
        let (path, rocks) = (dir.to_path_buf(), settings.rocks.clone());
        let value_bytes_max = settings.value_bytes_max;
        let opened = tokio::task::spawn_blocking(move || {
            Machine::open(group_id, &path, &rocks, value_bytes_max)
        });
        let (machine, shared) = opened
            .await
            .map_err(|e| RunError::Config(format!("open replica {group_id}: {e}")))??;
        let group = raft.start_group(group_id, Box::new(machine)).await?;
        let stop = CancellationToken::new();
        let (proposer, proposing) =
            Proposer::start(group.clone(), Arc::clone(&shared), stop.clone());
        let sweeping = tokio::spawn(sweep::run(group.clone(), Arc::clone(&shared), stop.clone()));
        let reads = Reads::new(group.clone(), Arc::clone(&shared), settings.read_mode);
        let running = tokio::sync::Mutex::new(vec![proposing, sweeping]);
        let tasks = Arc::new(Tasks { stop, running });
        Ok(Self {
            group,
            shared,
            proposer,
            reads,
            tasks,
        })
    }

    /// Gives a new group its first ranges; changes nothing if it has any. Asked of the leader.
    pub(crate) async fn init(&self, ranges: Vec<RangeDescriptor>) -> Result<(), ProposeError> {
        if !self.shared.published().read.ownership().owned().is_empty() {
            return Ok(());
        }
        let entry = self.shared.entry(Body::Init(ranges));
        self.group.propose(entry).await.map(|_| ())
    }

    /// Has the group take in or drop ranges; the inner error is the group's own refusal. Asked of
    /// the leader.
    pub(crate) async fn change_ranges(
        &self,
        change: Body,
    ) -> Result<Result<(), String>, ProposeError> {
        let entry = self.shared.entry(change);
        let mut answers = self.group.propose(entry).await?;
        let refusal = varint::take_bytes(&mut answers).unwrap_or_default();
        if refusal.is_empty() {
            return Ok(Ok(()));
        }
        Ok(Err(String::from_utf8_lossy(&refusal).into_owned()))
    }

    /// How it is, for heartbeats and operators.
    pub(crate) fn status(&self) -> ReplicaStatus {
        let status = self.group.status();
        let published = self.shared.published();
        ReplicaStatus {
            group_id: self.group.id(),
            term: status.term,
            leader: status.leader,
            serving: status.is_leader && self.group.lease_read_ready(),
            last_index: status.last_index,
            applied_index: status.applied_index,
            flushed_index: status.flushed_index,
            first_index: status.first_index,
            replicas: status.replicas,
            ranges: published.read.ownership().owned().to_vec(),
            size_bytes: published.engine.size_bytes(),
            reads_total: self.shared.reads_total.load(Ordering::Relaxed),
            writes_total: self.shared.writes_total.load(Ordering::Relaxed),
            fault: status.fault,
            loads: Vec::new(),
            importing: Vec::new(),
            frozen: Vec::new(),
            matched: status.matched.into_iter().collect(),
        }
    }

    /// Ends the replica's own tasks; frames that wait are refused.
    pub(crate) async fn stop(&self) {
        self.tasks.stop.cancel();
        for task in self.tasks.running.lock().await.drain(..) {
            // Its outcome is that it ended.
            let _ = task.await;
        }
    }
}

/// Answers a frame with a refusal.
pub(crate) fn refuse(responder: Responder, refusal: Refusal) {
    responder.send(FrameReply::Refused(refusal).encode());
}

/// What a proposal's failure is to a proxy.
pub(crate) fn refusal_of(error: ProposeError) -> Refusal {
    match error {
        ProposeError::NotLeader { leader, term } => Refusal::NotLeader { leader, term },
        ProposeError::Unknown => Refusal::FateUnknown,
        ProposeError::Stopped(_) => Refusal::NotLeader {
            leader: None,
            term: coterie_types::Term(0),
        },
    }
}
