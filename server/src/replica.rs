//! One replica: a Raft group's state machine over a store, and the requests it serves.
//!
//! `write` is the door for frames that go through the log, `read` the door for reads outside it.
//! `propose` gathers frames into entries, `machine` applies committed entries and `view` shows the
//! store to them; `sweep` removes expired records; `reclaim` removes elements that no header names;
//! `watch` stops a store whose flush has failed. `waiting` keeps the frames that wait for data.
//! These tasks share `shared`. A replica's directory is `replicas/<group id>/` (`place`).
//!
//! In a move, the source runs `handover` (tells the new owner) and `frozen` (answers its
//! questions), the destination `importer` (copies), `arrivals` (writes to keys that have not
//! arrived yet) and `arriving_view` (reads of them).

mod answers;
mod arrivals;
mod arriving_view;
mod change;
mod digests;
pub(crate) mod frozen;
mod handover;
mod importer;
pub(crate) mod load;
mod machine;
mod pending;
mod per_range;
mod place;
mod propose;
mod read;
mod reclaim;
mod refusal;
mod room;
mod scripting;
mod shared;
mod sizes;
mod split_point;
mod sweep;
mod unhurried;
mod view;
mod waiting;
mod watch;
mod write;

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use coterie_budget::Budget;
use coterie_group::Body;
use coterie_protocol::server::{ImportState, RangeLoad, ReplicaStatus};
use coterie_raft::{Group, ProposeError, RaftNode};
use coterie_storage::{Engine, RocksEngine, RocksShared};
use coterie_types::{Epoch, GroupId, RangeDescriptor, RangeId, UnixMillis};
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) use place::groups_in;
pub use read::ReadMode;
pub(crate) use refusal::refuse;
pub(crate) use shared::Shared;

use crate::disk::Disk;
use crate::error::RunError;
use crate::links::Links;
use crate::news::NewsLinks;
use crate::peers::Peers;
use crate::pubsub::PubSub;
use crate::rate::Rate;
use crate::scripts::Scripts;
use change::change;
use importer::Importer;
use machine::Machine;
use propose::Proposer;
use read::Reads;
use waiting::Waiting;
use write::Writes;

/// Settings and resources that all replicas of a node share.
#[derive(Clone)]
pub(crate) struct Settings {
    /// Resources that their stores share.
    pub(crate) rocks: RocksShared,
    /// How leaders make sure that they may serve reads.
    pub(crate) read_mode: ReadMode,
    /// Bytes of the longest value that commands may make while this node leads.
    pub(crate) value_bytes_max: u64,
    /// Connections to other groups.
    pub(crate) peers: Peers,
    /// Rate limit for copying ranges, shared by all replicas of this node.
    pub(crate) move_rate: Arc<Rate>,
    /// Memory for long replies.
    pub(crate) replies: Budget,
    /// Where answers of frames that waited go.
    pub(crate) links: Arc<Links>,
    /// Where news for proxies go.
    pub(crate) news: Arc<NewsLinks>,
    /// Channels whose home is this node.
    pub(crate) pubsub: Arc<PubSub>,
    /// Runs scripts.
    pub(crate) scripts: Arc<Scripts>,
}

/// A running replica. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Replica {
    pub(crate) group: Group,
    pub(crate) shared: Arc<Shared>,
    pub(crate) reads: Reads,
    pub(crate) writes: Writes,
    waiting: Arc<Waiting>,
    sizes: Arc<Mutex<Sizes>>,
    tasks: Arc<Tasks>,
}

/// Bytes of each range, and CPU time used for applying, both measured at `at`.
struct Sizes {
    at: Instant,
    ranges: Vec<(RangeId, u64)>,
    apply_cpu_nanos: u64,
    /// CPU per second that applying took in the interval before `at`.
    apply_cpu: Duration,
}

impl Sizes {
    fn none() -> Self {
        Self {
            at: Instant::now(),
            ranges: Vec::new(),
            apply_cpu_nanos: 0,
            apply_cpu: Duration::ZERO,
        }
    }
}

/// Time between two looks whether an interval is still being cleared.
const SPACE_POLL: Duration = Duration::from_millis(5);
/// How long measured sizes of ranges stay valid.
const SIZES_FOR: Duration = Duration::from_secs(3);

fn importer_of(
    group: &Group,
    shared: &Arc<Shared>,
    settings: &Settings,
    disk: &Arc<Disk>,
) -> Importer {
    Importer {
        group: group.clone(),
        shared: Arc::clone(shared),
        peers: settings.peers.clone(),
        rate: Arc::clone(&settings.move_rate),
        disk: Arc::clone(disk),
        counts: importer::counts::Counts::default(),
    }
}

struct Tasks {
    stop: CancellationToken,
    running: tokio::sync::Mutex<Vec<JoinHandle<()>>>,
}

/// Starts the tasks of a replica beside the proposer.
fn start_tasks(
    group: &Group,
    shared: &Arc<Shared>,
    waiting: &Arc<Waiting>,
    (settings, disk): (&Settings, &Arc<Disk>),
    stop: &CancellationToken,
) -> Vec<JoinHandle<()>> {
    let group_id = group.id();
    let (group, stop) = (|| group.clone(), || stop.clone());
    let (shared, waiting) = (|| Arc::clone(shared), || Arc::clone(waiting));
    let peers = || settings.peers.clone();
    let importer = importer_of(&group(), &shared(), settings, disk);
    let write_buffer_bytes = settings.rocks.write_buffer_bytes();
    vec![
        tokio::spawn(waiting::run(group(), shared(), waiting(), stop())),
        tokio::spawn(sweep::run(group(), shared(), waiting(), stop())),
        tokio::spawn(reclaim::run(group(), shared(), write_buffer_bytes, stop())),
        tokio::spawn(watch::run(group_id, shared(), stop())),
        tokio::spawn(handover::run(group(), shared(), peers(), stop())),
        tokio::spawn(importer.run(stop())),
    ]
}

impl Replica {
    /// Opens the replica in `dir` (created if absent) and starts its group.
    pub(crate) async fn start(
        group_id: GroupId,
        dir: &Path,
        settings: &Settings,
        raft: &RaftNode,
        disk: &Arc<Disk>,
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
        shared.set_walls(group.voter_walls());
        let stop = CancellationToken::new();
        let waiting = Arc::new(Waiting::new(Arc::clone(&settings.links)));
        let (proposer, proposing) = Proposer::start(
            group.clone(),
            Arc::clone(&shared),
            Arc::clone(&waiting),
            (Arc::clone(&settings.scripts), Arc::clone(disk)),
            stop.clone(),
        );
        let mut running = start_tasks(&group, &shared, &waiting, (settings, disk), &stop);
        running.push(proposing);
        let writes = Writes::new(
            group.clone(),
            Arc::clone(&shared),
            proposer,
            settings.peers.clone(),
            Arc::clone(disk),
            Arc::clone(&settings.scripts),
        );
        let reads = Reads::new(
            group.clone(),
            Arc::clone(&shared),
            settings.peers.clone(),
            settings.read_mode,
            settings.replies.clone(),
            Arc::clone(&settings.scripts),
        );
        let running = tokio::sync::Mutex::new(running);
        let tasks = Arc::new(Tasks { stop, running });
        let sizes = Arc::new(Mutex::new(Sizes::none()));
        Ok(Self {
            group,
            shared,
            reads,
            writes,
            waiting,
            sizes,
            tasks,
        })
    }

    /// Gives a new group its first ranges; changes nothing if it has any. Call it on the leader.
    pub(crate) async fn init(&self, ranges: Vec<RangeDescriptor>) -> Result<(), ProposeError> {
        if !self.shared.published().read.ownership().owned().is_empty() {
            return Ok(());
        }
        let entry = self.shared.entry(Body::Init(ranges));
        self.group.propose(entry).await.map(|_| ())
    }

    /// Changes the group's ranges. Returns the group clock, or the group's own refusal as the inner
    /// error. Call it on the leader.
    pub(crate) async fn change_ranges(
        &self,
        body: Body,
    ) -> Result<Result<UnixMillis, String>, ProposeError> {
        change(&self.group, &self.shared, body).await
    }

    /// Progress of the import of a range.
    pub(crate) fn import_state(&self, range_id: RangeId, epoch: Epoch) -> ImportState {
        let published = self.shared.published();
        let ownership = published.read.ownership();
        let is_it = |range: &RangeDescriptor| range.range_id == range_id && range.epoch == epoch;
        if let Some(import) = published.read.import(range_id)
            && ownership.importing().iter().any(|a| is_it(&a.range))
        {
            let copied = import.copied();
            return ImportState::Copying {
                records: copied.records,
                bytes: copied.bytes,
                bytes_total: self.shared.import_size(range_id).unwrap_or(0),
                problem: self.shared.import_problem(range_id),
            };
        }
        // The range may have been split, merged or moved on since; its import finished before that.
        let newer = |r: &RangeDescriptor| r.range_id == range_id && r.epoch >= epoch;
        if ownership.owned().iter().any(newer) || ownership.frozen().iter().any(newer) {
            return ImportState::Finished {
                bytes: self.shared.imported_bytes(range_id),
            };
        }
        if ownership.incoming().iter().any(|a| is_it(&a.range)) {
            ImportState::Waiting
        } else {
            ImportState::Unknown
        }
    }

    /// Waits until no interval is being cleared here.
    pub(crate) async fn wait_for_space(&self) {
        while self.shared.published().engine.is_clearing() {
            tokio::time::sleep(SPACE_POLL).await;
        }
    }

    /// The key that about halves a range by size, and the bytes on both sides of it. May read the
    /// store for a second, so it needs a thread of its own.
    pub(crate) fn split_point(
        &self,
        range_id: RangeId,
    ) -> Result<Option<split_point::SplitPoint>, String> {
        let published = self.shared.published();
        let mut owned = published.read.ownership().owned().iter();
        let range = owned.find(|range| range.range_id == range_id);
        let range = range.ok_or_else(|| format!("range {range_id} is not owned here"))?;
        split_point::find(published.engine.as_ref(), &range.bounds).map_err(|e| e.to_string())
    }

    /// Approximate bytes of a range on disk; 0 if it is not owned here.
    pub(crate) fn range_bytes(&self, range_id: RangeId) -> u64 {
        let published = self.shared.published();
        let owned = published.read.ownership().owned().iter();
        let bounds = owned.filter(|range| range.range_id == range_id);
        let bounds = bounds.map(|range| &range.bounds);
        sizes::of_ranges(published.engine.as_ref(), bounds)
            .iter()
            .sum()
    }

    /// The load of each range that this replica serves as leader.
    fn loads(&self) -> Vec<RangeLoad> {
        let published = self.shared.published();
        let mut sizes = self.sizes.lock();
        let age = sizes.at.elapsed();
        let owned = published.read.ownership().owned();
        let same = sizes.ranges.len() == owned.len()
            && owned
                .iter()
                .zip(&sizes.ranges)
                .all(|(range, (id, _))| range.range_id == *id);
        if age >= SIZES_FOR || !same {
            let ranges = owned.iter().map(|range| &range.bounds);
            let bytes = sizes::of_ranges(published.engine.as_ref(), ranges);
            sizes.ranges = owned
                .iter()
                .map(|range| range.range_id)
                .zip(bytes)
                .collect();
            let nanos = self.shared.apply_cpu_nanos.load(Ordering::Relaxed);
            let used = Duration::from_nanos(nanos.saturating_sub(sizes.apply_cpu_nanos));
            sizes.apply_cpu = used.div_f64(age.as_secs_f64().max(0.1));
            sizes.apply_cpu_nanos = nanos;
            sizes.at = Instant::now();
        }
        // Records that have just arrived are not in files yet, but the balancer must count them.
        let ranges = sizes.ranges.iter();
        let ranges = ranges.map(|(id, bytes)| (*id, self.shared.arrived_bytes(*id).max(*bytes)));
        let ranges: Vec<_> = ranges.collect();
        self.shared.loads.report(&ranges, sizes.apply_cpu)
    }

    /// Whether the replica stopped because the disk was full. `reopen` opens it again when there is
    /// room.
    pub(crate) fn lacks_room(&self) -> bool {
        self.shared.lacked_room.load(Ordering::Acquire) && self.group.fault().is_some()
    }

    /// How many frames wait for data here, and how many that waited were served.
    pub(crate) fn waits(&self) -> (usize, u64) {
        let served = self.waiting.served_total.load(Ordering::Relaxed);
        (self.waiting.count(), served)
    }

    /// Weak reference to its store, to see when the last user has gone.
    pub(crate) fn store(&self) -> Weak<RocksEngine> {
        Arc::downgrade(&self.shared.published().engine)
    }

    /// Status, for heartbeats and operators.
    pub(crate) fn status(&self) -> ReplicaStatus {
        let status = self.group.status();
        let published = self.shared.published();
        let ownership = published.read.ownership();
        let serving = status.is_leader && self.group.serves();
        ReplicaStatus {
            group_id: self.group.id(),
            term: status.term,
            leader: status.leader,
            serving,
            last_index: status.last_index,
            last_term: status.last_term,
            applied_index: status.applied_index,
            flushed_index: status.flushed_index,
            first_index: status.first_index,
            replicas: status.replicas,
            ranges: ownership.owned().to_vec(),
            size_bytes: published.engine.size_bytes(),
            reads_total: self.shared.reads_total.load(Ordering::Relaxed),
            writes_total: self.shared.writes_total.load(Ordering::Relaxed),
            fault: status.fault,
            loads: if serving { self.loads() } else { Vec::new() },
            importing: ownership
                .importing()
                .iter()
                .map(|a| a.range.range_id)
                .collect(),
            frozen: ownership.frozen().to_vec(),
            matched: status.matched.into_iter().collect(),
            unfit: self.group.unfit(),
        }
    }

    /// Stops the replica's own tasks; waiting frames are refused.
    pub(crate) async fn stop(&self) {
        self.tasks.stop.cancel();
        for task in self.tasks.running.lock().await.drain(..) {
            // All that matters is that the task has ended.
            let _ = task.await;
        }
    }
}
