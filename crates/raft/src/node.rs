//! All groups of a process: opens the log engine, starts and stops groups, receives their messages.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use coterie_rpc::{Request, Responder};
use coterie_types::{GroupId, NodeId};
use parking_lot::{Mutex, RwLock, RwLockWriteGuard};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::address_book::AddressBook;
use crate::campaign;
use crate::config::RaftConfig;
use crate::error::RaftError;
use crate::fence::{Fence, Stops};
use crate::group::{Group, OpenGroup};
use crate::hand_overs::HandOvers;
use crate::heard::Heard;
use crate::latency::AnswerTimes;
use crate::lease::Transfers;
use crate::log::{GroupLog, LogEngine};
use crate::lost_tail;
use crate::machine::{OpenraftMachine, Progress};
use crate::network::Network;
use crate::part::Part;
use crate::purge::Purge;
use crate::room::{Room, Rooms};
use crate::snapshot::SnapshotReceiver;
use crate::stopping::Stopping;
use crate::type_config::TypeConfig;
use crate::walls::Walls;
use crate::{StateMachine, beat, receive, wire};

/// The Raft part of a process.
pub struct RaftNode {
    node_id: NodeId,
    config: RaftConfig,
    engine: LogEngine,
    snapshots: PathBuf,
    rpc: coterie_rpc::Client,
    addresses: Arc<dyn AddressBook>,
    /// This process promised nothing before this moment.
    opened_at: Instant,
    stops: Stops,
    rooms: Arc<Rooms>,
    answers: Arc<AnswerTimes>,
    stopping: Arc<Stopping>,
    walls: Arc<Walls>,
    groups: RwLock<std::collections::BTreeMap<GroupId, Running>>,
    /// Serializes starts and stops.
    changes: tokio::sync::Mutex<()>,
}

/// How long a stopping group waits until the calls in flight are answered.
const CALLS_TIMEOUT: Duration = Duration::from_secs(3);

struct Running {
    group: Group,
    beat: tokio::task::JoinHandle<()>,
    purge: tokio::task::JoinHandle<()>,
    sweep: tokio::task::JoinHandle<()>,
    elect: Option<tokio::task::JoinHandle<()>>,
    campaign: tokio::task::JoinHandle<()>,
    recover: Option<tokio::task::JoinHandle<()>>,
}

impl RaftNode {
    /// Opens `dir` (`log/` and `snapshots/` below it). The restart fence of its groups counts from
    /// now on.
    ///
    /// `replicas` are the groups that had a replica here before. They may be missing from the log:
    /// if its end is lost, that end may have held their first record.
    pub async fn open(
        dir: &Path,
        node_id: NodeId,
        config: RaftConfig,
        rpc: coterie_rpc::Client,
        addresses: Arc<dyn AddressBook>,
        replicas: Vec<GroupId>,
    ) -> Result<Arc<Self>, RaftError> {
        let opened_at = Instant::now();
        // Two leases, since some answers to heartbeats may be lost.
        let rooms = Arc::new(Rooms::new(2 * config.lease()));
        let snapshots = dir.join("snapshots");
        let log_dir = dir.join("log");
        let settings = config.clone();
        let opened = tokio::task::spawn_blocking({
            let snapshots = snapshots.clone();
            move || {
                // Unfinished transfers from before a crash are useless: checkpoints are made anew.
                if snapshots.exists() {
                    std::fs::remove_dir_all(&snapshots)?;
                }
                std::fs::create_dir_all(&snapshots)?;
                LogEngine::open(&log_dir, &settings, &replicas)
            }
        });
        let engine = opened
            .await
            .map_err(|e| RaftError::raft("open the log", e))??;
        Ok(Arc::new(Self {
            node_id,
            config,
            engine,
            snapshots,
            rpc,
            addresses,
            opened_at,
            stops: Stops::default(),
            rooms,
            answers: Arc::default(),
            stopping: Arc::default(),
            walls: Arc::default(),
            groups: RwLock::default(),
            changes: tokio::sync::Mutex::new(()),
        }))
    }

    /// Starts this node's replica of a group, from its log and the state of `machine`. Before it
    /// returns it applies the entries that the log has beyond the machine, as far as they are known
    /// to be committed. If the group runs already, only returns its handle.
    pub async fn start_group(
        &self,
        group_id: GroupId,
        machine: Box<dyn StateMachine>,
    ) -> Result<Group, RaftError> {
        self.start(group_id, machine, Part::Full).await
    }

    /// Like [`RaftNode::start_group`], for a group whose voters keep their ids when they lose their
    /// disks: a replica without a log takes part in nothing until [`Group::follow_from`] or
    /// [`Group::take_part`] is called.
    pub async fn start_group_if_known(
        &self,
        group_id: GroupId,
        machine: Box<dyn StateMachine>,
    ) -> Result<Group, RaftError> {
        self.start(group_id, machine, Part::Nothing).await
    }

    async fn start(
        &self,
        group_id: GroupId,
        machine: Box<dyn StateMachine>,
        if_new: Part,
    ) -> Result<Group, RaftError> {
        let _one_at_a_time = self.changes.lock().await;
        if let Some(group) = self.group(group_id) {
            return Ok(group);
        }
        let log = GroupLog::open(group_id, self.engine.clone())?;
        let fence = self.fence_of(group_id, &log);
        let recovers_tail = lost_tail::is_to_recover(&log, if_new);
        let (part, parts) = watch::channel(Part::of(&log, if_new));
        let held_back =
            fence.is_closed() || log.is_short_of_promises() || *parts.borrow() != Part::Full;
        let snapshots = self.snapshots.join(group_id.to_string());
        let progress = Arc::new(Progress::default());
        let machine = OpenraftMachine::new(machine, Arc::clone(&progress), snapshots.clone())?;
        let network = self.network(group_id);
        let config = Arc::new(self.config.openraft(!held_back)?);
        let (id, network_of_raft) = (self.node_id.0, network.clone());
        let raft = openraft::Raft::new(id, config, network_of_raft, log.clone(), machine);
        let raft = raft.await.map_err(|e| RaftError::raft("start group", e))?;
        progress.started.store(true, Ordering::Release);
        let elect = held_back
            .then(|| tokio::spawn(elect_when_free(raft.clone(), log.clone(), fence, parts)));
        let purge = Purge {
            raft: raft.clone(),
            log: log.clone(),
            progress: Arc::clone(&progress),
            holds: Arc::clone(&network.holds),
            rooms: Arc::clone(&self.rooms),
            config: self.config.clone(),
        };
        let receiver = SnapshotReceiver::new(group_id, snapshots, Arc::clone(&self.rooms));
        let receiver = Arc::new(receiver);
        let group = Group(Arc::new(OpenGroup {
            group_id,
            node_id: self.node_id,
            raft,
            progress,
            log,
            config: self.config.clone(),
            fence,
            part,
            transfers: Transfers::default(),
            hand_overs: HandOvers::default(),
            stopping: Arc::clone(&self.stopping),
            heard: Heard::default(),
            receiver: Arc::clone(&receiver),
            network,
            recovers_tail,
            claimants: Mutex::default(),
            calls: TaskTracker::new(),
        }));
        let beat = beat::run(group.0.raft.clone(), self.config.heartbeat_interval);
        let recover = recovers_tail.then(|| tokio::spawn(recover_tail(group.clone())));
        let running = Running {
            beat: tokio::spawn(beat),
            group: group.clone(),
            purge: tokio::spawn(purge.run()),
            sweep: tokio::spawn(receiver.keep_clean()),
            elect,
            campaign: tokio::spawn(campaign::watch(group.clone())),
            recover,
        };
        self.write().insert(group_id, running);
        Ok(group)
    }

    /// The fence for promises that a replica with this log may have made before.
    fn fence_of(&self, group_id: GroupId, log: &GroupLog) -> Fence {
        // A group that never voted here promised nothing.
        if log.is_pristine() || !self.config.restart_fence {
            return Fence::none();
        }
        let stopped = self.stops.last(group_id);
        let since = stopped.map_or(self.opened_at, |at| at.max(self.opened_at));
        Fence::since(since, self.config.lease())
    }

    fn network(&self, group: GroupId) -> Network {
        Network {
            group,
            rpc: self.rpc.clone(),
            addresses: Arc::clone(&self.addresses),
            append_timeout: self.config.election_timeout_max,
            snapshot_rate: self.config.snapshot_rate,
            rooms: Arc::clone(&self.rooms),
            holds: Arc::default(),
            answers: Arc::clone(&self.answers),
            walls: Arc::clone(&self.walls),
        }
    }

    fn write(&self) -> RwLockWriteGuard<'_, std::collections::BTreeMap<GroupId, Running>> {
        self.groups.write()
    }

    /// A running group.
    #[must_use]
    pub fn group(&self, group_id: GroupId) -> Option<Group> {
        let groups = self.groups.read();
        groups.get(&group_id).map(|running| running.group.clone())
    }

    /// Every running group, by id.
    #[must_use]
    pub fn groups(&self) -> Vec<Group> {
        let groups = self.groups.read();
        groups
            .values()
            .map(|running| running.group.clone())
            .collect()
    }

    /// Whether the log has any record of the group, so that it was here before.
    #[must_use]
    pub fn has_log_of(&self, group_id: GroupId) -> bool {
        self.engine.knows(group_id)
    }

    /// Sets how much room this node has.
    pub fn set_room(&self, room: Room) {
        self.rooms.set_own(room);
    }

    /// Sets how many bytes this node can take before its room is scarce; snapshots beyond that are
    /// refused.
    pub fn set_spare_bytes(&self, bytes: u64) {
        self.rooms.set_spare_bytes(bytes);
    }

    /// Notes that the process is being stopped: from now on none of its replicas takes over
    /// leadership.
    pub fn set_stopping(&self) {
        self.stopping.set();
    }

    /// Resolves to the cause when the log can no longer be written. Every group of this node then
    /// stops at its next write, and the process is to end. The future holds no reference to the
    /// node.
    pub fn failed(&self) -> impl Future<Output = RaftError> + Send + use<> {
        self.engine.failed()
    }

    /// Bytes of the log's files, all groups together.
    #[must_use]
    pub fn log_size_bytes(&self) -> u64 {
        self.engine.size_bytes()
    }

    /// Mean microseconds of a write and fsync of the log over the last seconds, excluding waits for
    /// a CPU; 0 when nothing was written.
    #[must_use]
    pub fn log_write_micros(&self) -> u64 {
        self.engine.write_micros()
    }

    /// Mean network microseconds of appends to other nodes and their answers over the last seconds,
    /// for the nodes that were sent any.
    #[must_use]
    pub fn answer_micros(&self) -> Vec<(NodeId, u64)> {
        self.answers.means()
    }

    /// Handles a call of the methods `RAFT_*`; answers in its own task.
    pub fn handle(&self, request: Request, responder: Responder) {
        let Some((group_id, target, body)) = wire::split(request.body.clone()) else {
            return responder.fail("no group or node id");
        };
        if target != self.node_id {
            return responder.fail(&format!("node {target} is not here any more"));
        }
        let Some(group) = self.group(group_id) else {
            return responder.fail("no such group here");
        };
        let (calls, arrived) = (group.0.calls.clone(), Instant::now());
        calls.spawn(async move {
            receive::handle(&group.0, Request { body, ..request }, arrived, responder).await;
        });
    }

    /// Stops a group; its log and state stay. When it is started again, it is held to its promises.
    pub async fn stop_group(&self, group_id: GroupId) -> Result<(), RaftError> {
        let _one_at_a_time = self.changes.lock().await;
        let Some(running) = self.write().remove(&group_id) else {
            return Ok(());
        };
        let stopped = stop(running).await;
        self.stops.add(group_id, self.config.lease());
        // Records handed to the writer must be in the log before the log is opened again.
        self.engine.settle().await?;
        stopped
    }

    /// Stops a group, deletes its log and any partly received snapshot. Allowed only when the group
    /// has removed this replica. The promises are kept, in case the group has a replica here again.
    pub async fn destroy_group(&self, group_id: GroupId) -> Result<(), RaftError> {
        self.stop_group(group_id).await?;
        let log = GroupLog::open(group_id, self.engine.clone())?;
        log.forget().await?;
        self.rooms.expect_none(group_id);
        let received = self.snapshots.join(group_id.to_string());
        match tokio::fs::remove_dir_all(&received).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Makes this node the only voter of a group that is stopped here and has lost its majority, by
    /// appending an entry that says so. Every entry in its log counts as committed from then on.
    ///
    /// The old voters must never be listened to again (see [`AddressBook::is_removed`]): they know
    /// nothing of this change.
    pub async fn recover_alone(&self, group_id: GroupId) -> Result<(), RaftError> {
        let _one_at_a_time = self.changes.lock().await;
        if self.group(group_id).is_some() {
            return Err(RaftError::Config(format!("group {group_id} runs")));
        }
        let mut log = GroupLog::open(group_id, self.engine.clone())?;
        log.make_alone(self.node_id.0).await?;
        Ok(())
    }

    /// Stops every group and closes the log, so that the directory can be opened again.
    pub async fn shutdown(&self) {
        for group in self.groups() {
            if let Err(error) = self.stop_group(group.id()).await {
                tracing::warn!(group_id = %group.id(), %error, "group not stopped cleanly");
            }
        }
        if let Err(error) = self.engine.close().await {
            tracing::warn!(%error, "log not closed cleanly");
        }
    }
}

/// Recovers the end of a replica's log, once the fence is over.
async fn recover_tail(group: Group) {
    tokio::time::sleep(group.fence_remaining()).await;
    lost_tail::recover(group).await;
}

/// Lets a replica campaign once no earlier promise binds it.
async fn elect_when_free(
    raft: openraft::Raft<TypeConfig, OpenraftMachine>,
    log: GroupLog,
    fence: Fence,
    mut parts: watch::Receiver<Part>,
) {
    tokio::time::sleep(fence.remaining()).await;
    if parts.wait_for(|part| *part == Part::Full).await.is_err() {
        return;
    }
    let wait = raft.wait(None);
    let kept = wait.metrics(|_| !log.is_short_of_promises(), "the log of before");
    // An error means that the group has stopped.
    if kept.await.is_ok() {
        raft.runtime_config().elect(true);
    }
}

async fn stop(running: Running) -> Result<(), RaftError> {
    for task in [running.beat, running.purge, running.sweep, running.campaign]
        .into_iter()
        .chain(running.elect)
        .chain(running.recover)
    {
        task.abort();
        // The outcome is the abort; awaiting it ensures that the task has released the log.
        let _ = task.await;
    }
    // The group can no longer be found; calls that already found it are answered first.
    let calls = &running.group.0.calls;
    calls.close();
    if tokio::time::timeout(CALLS_TIMEOUT, calls.wait())
        .await
        .is_err()
    {
        tracing::warn!(group_id = %running.group.id(), "calls of a group that stops are cut off");
    }
    let stopped = running.group.0.raft.shutdown().await;
    stopped.map_err(|e| RaftError::raft("stop group", e))
}
