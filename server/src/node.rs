//! The replicas that this process serves, and the state they share.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use coterie_files::{FileError, write_atomically};
use coterie_protocol::server::{ReplicaStatus, Witness};
use coterie_raft::{RaftError, RaftNode};
use coterie_storage::RocksEngine;
use coterie_types::{GroupId, NodeId};
use parking_lot::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tracing::{error, warn};

use crate::disk::Disk;
use crate::error::{RunError, chain, is_no_room};
use crate::fencing::Fencing;
use crate::replica::{Replica, Settings, groups_in};
use crate::scan_places::ScanPlaces;

pub(crate) struct Node {
    pub(crate) node_id: NodeId,
    identity: Identity,
    pub(crate) raft: Arc<RaftNode>,
    pub(crate) disk: Arc<Disk>,
    pub(crate) fencing: Fencing,
    pub(crate) scan_places: ScanPlaces,
    /// The process stops: its leaders must move elsewhere.
    stopping: AtomicBool,
    replicas_dir: PathBuf,
    pub(crate) settings: Settings,
    replicas: RwLock<BTreeMap<GroupId, Replica>>,
    /// Replicas of the directory that are not open, and why.
    broken: RwLock<BTreeMap<GroupId, Broken>>,
    /// Stores of ended replicas that may still be in use.
    closing: Mutex<BTreeMap<GroupId, Weak<RocksEngine>>>,
    /// Held while a replica is created or destroyed: changes happen one at a time.
    changes: tokio::sync::Mutex<()>,
    close_timeout: Duration,
}

/// Why a replica is not open.
#[derive(Debug, Clone)]
struct Broken {
    reason: String,
    /// The disk was full. The replica is opened again when there is room.
    lacks_room: bool,
}

/// The fault of a replica that is not open, or has stopped.
#[derive(Debug, Clone)]
pub(crate) struct ReplicaFault {
    pub(crate) group_id: GroupId,
    pub(crate) reason: String,
    /// The disk was full. The replica is opened again when there is room.
    pub(crate) lacks_room: bool,
}

/// How long to wait for the store of an ended replica while something reads it.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(8);
const CLOSE_PAUSE: Duration = Duration::from_millis(5);
/// Like `CLOSE_PAUSE`, where no caller waits for an answer: walking a large store takes minutes.
const REOPEN_PAUSE: Duration = Duration::from_millis(100);
/// How long closing a store may take after its last use: work in the background is ended first.
const CLOSING_TIMEOUT: Duration = Duration::from_secs(5);

/// The identity by which meta knows the node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Identity {
    pub(crate) node_id: NodeId,
    pub(crate) token: u128,
    pub(crate) cluster_id: u128,
}

impl Node {
    pub(crate) fn new(
        identity: Identity,
        raft: Arc<RaftNode>,
        disk: Arc<Disk>,
        fencing: Fencing,
        replicas_dir: PathBuf,
        settings: Settings,
    ) -> Self {
        Self {
            node_id: identity.node_id,
            identity,
            raft,
            disk,
            fencing,
            scan_places: ScanPlaces::default(),
            stopping: AtomicBool::new(false),
            replicas_dir,
            settings,
            replicas: RwLock::default(),
            broken: RwLock::default(),
            closing: Mutex::default(),
            changes: tokio::sync::Mutex::new(()),
            close_timeout: CLOSE_TIMEOUT,
        }
    }

    pub(crate) fn replica(&self, group: GroupId) -> Option<Replica> {
        let replicas = self.replicas.read();
        replicas.get(&group).cloned()
    }

    pub(crate) fn replicas(&self) -> Vec<Replica> {
        let replicas = self.replicas.read();
        replicas.values().cloned().collect()
    }

    /// From now on this node takes over no leadership.
    pub(crate) fn set_stopping(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.raft.set_stopping();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Status of every replica of the directory, including replicas that are not open.
    pub(crate) fn statuses(&self) -> Vec<ReplicaStatus> {
        let open = self.replicas();
        let open = open.iter().map(Replica::status);
        let broken = self.read_broken().clone();
        let broken = broken.into_iter();
        open.chain(broken.map(|(group, broken)| not_open(group, broken.reason)))
            .collect()
    }

    /// Faults of replicas that are not open, and of replicas that stopped.
    pub(crate) fn faults(&self) -> Vec<ReplicaFault> {
        let broken = self.read_broken().clone().into_iter();
        let broken = broken.map(|(group_id, broken)| ReplicaFault {
            group_id,
            reason: broken.reason,
            lacks_room: broken.lacks_room,
        });
        let stopped = self.replicas().into_iter().filter_map(|replica| {
            Some(ReplicaFault {
                group_id: replica.group.id(),
                reason: replica.group.fault()?,
                lacks_room: replica.lacks_room(),
            })
        });
        broken.chain(stopped).collect()
    }

    /// Opens every replica of the directory, all at once, since opening waits for the disk. A
    /// replica that cannot be opened is reported and left as it is; the others serve.
    pub(crate) async fn open_replicas(self: &Arc<Self>) -> Result<(), RunError> {
        let groups =
            groups_in(&self.replicas_dir).map_err(FileError::io("read", &self.replicas_dir))?;
        let mut opening = tokio::task::JoinSet::new();
        for group in groups {
            let node = Arc::clone(self);
            opening.spawn(async move {
                if let Err(error) = node.open_replica(group).await {
                    node.set_broken(group, &error);
                }
            });
        }
        opening.join_all().await;
        Ok(())
    }

    async fn open_replica(&self, group: GroupId) -> Result<(), RunError> {
        if self.marker(group).exists() {
            return self.destroy_replica(group).await;
        }
        self.start_replica(group).await.map(drop)
    }

    /// The file that marks a replica as being destroyed, so that a restart after a crash finishes
    /// that.
    fn marker(&self, group: GroupId) -> PathBuf {
        self.dir_of(group).join("DESTROYED")
    }

    /// The replica of a group, created if absent.
    ///
    /// A replica that cannot be opened is replaced by an empty replica only if the newest catalog
    /// here places all of the group's replicas elsewhere. Until then the group may have to be
    /// recovered from it.
    pub(crate) async fn create_replica(&self, group: GroupId) -> Result<Replica, RunError> {
        let _one_at_a_time = self.changes.lock().await;
        if let Some(replica) = self.replica(group) {
            return Ok(replica);
        }
        if self.marker(group).exists() {
            self.destroy(group).await?;
        }
        self.wait_closed(group).await?;
        let started = self.start_replica(group).await;
        let is_broken = self.read_broken().contains_key(&group);
        match started {
            Err(error) if is_broken && self.is_elsewhere(group) => {
                warn!(group_id = %group, error = chain(&error),
                    "a replica that cannot be opened, and whose group is elsewhere, is made anew");
                self.destroy(group).await?;
                self.start_replica(group).await
            }
            started => started,
        }
    }

    /// Whether the newest catalog here places all of the group's replicas on other nodes.
    fn is_elsewhere(&self, group: GroupId) -> bool {
        let catalog = self.settings.peers.catalog();
        let row = catalog.groups.get(&group);
        row.is_some_and(|row| {
            let mut replicas = row.replicas.iter();
            !row.replicas.is_empty() && replicas.all(|r| r.node_id != self.node_id)
        })
    }

    /// The replica of a group, opened if it is on disk and not open; `None` if there is none.
    pub(crate) async fn opened_replica(&self, group: GroupId) -> Result<Option<Replica>, RunError> {
        if let Some(replica) = self.replica(group) {
            return Ok(Some(replica));
        }
        let _one_at_a_time = self.changes.lock().await;
        if let Some(replica) = self.replica(group) {
            return Ok(Some(replica));
        }
        if !self.is_on_disk(group) {
            return Ok(None);
        }
        self.wait_closed(group).await?;
        self.start_again(group).await.map(Some)
    }

    /// Ends a replica and removes all its data. Does nothing if there is none.
    pub(crate) async fn destroy_replica(&self, group: GroupId) -> Result<(), RunError> {
        let _one_at_a_time = self.changes.lock().await;
        self.destroy(group).await
    }

    async fn destroy(&self, group: GroupId) -> Result<(), RunError> {
        let removed = self.remove(group);
        let dir = self.dir_of(group);
        if dir.exists() {
            let marker = self.marker(group);
            write_atomically(&marker, b"").map_err(FileError::io("write", &marker))?;
        }
        if let Some(replica) = &removed {
            replica.stop().await;
        }
        // The log first: the marker, by which a restart finds the rest, is in the directory.
        let forgotten = self.raft.destroy_group(group).await;
        if let Some(replica) = removed {
            // Only now is the store known: a snapshot could replace it until the group was stopped.
            self.closing().insert(group, replica.store());
        }
        forgotten?;
        self.wait_closed(group).await?;
        match tokio::fs::remove_dir_all(&dir).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(FileError::io("remove", &dir)(error).into());
            }
            _ => {}
        }
        self.write_broken().remove(&group);
        Ok(())
    }

    /// Restarts a replica as the only voter of its group. If that fails, the replica is as it was.
    pub(crate) async fn recover_alone(self: &Arc<Self>, group: GroupId) -> Result<(), RunError> {
        let _one_at_a_time = self.changes.lock().await;
        let Some(removed) = self.remove(group) else {
            return Err(RunError::Config(format!(
                "group {group} has no replica here"
            )));
        };
        let recovered = match self.close(group, removed).await? {
            Ok(()) => self.raft.recover_alone(group).await,
            Err(error) => Err(error),
        };
        if let Err(error) = self.start_again(group).await {
            self.set_broken(group, &error);
            return Err(error);
        }
        Ok(recovered?)
    }

    /// Opens a replica again that stopped, or was not opened, because the disk was full. It starts
    /// from its last durable mark and applies the log again, as after a restart of the process.
    /// Does nothing if the group has no stopped replica here.
    pub(crate) async fn open_again(self: &Arc<Self>, group: GroupId) -> Result<(), RunError> {
        let _one_at_a_time = self.changes.lock().await;
        if self.is_stopping() {
            return Ok(());
        }
        match self.replica(group) {
            Some(stopped) if stopped.lacks_room() => {
                self.remove(group);
                if let Err(error) = self.close(group, stopped).await? {
                    // The group's task may have ended by the very fault that stopped the replica.
                    warn!(group_id = %group, %error, "group not stopped cleanly");
                }
            }
            Some(_) => return Ok(()),
            None if self.is_on_disk(group) => self.wait_closed(group).await?,
            None => return Ok(()),
        }
        let started = self.start_again(group).await;
        started
            .map(drop)
            .inspect_err(|error| self.set_broken(group, error))
    }

    /// Ends a replica that was removed from `replicas`, and its group; the inner error is Raft's.
    /// While its store is still in use the replica cannot be opened. Then this returns an error,
    /// and the replica is opened later.
    async fn close(
        self: &Arc<Self>,
        group: GroupId,
        removed: Replica,
    ) -> Result<Result<(), RaftError>, RunError> {
        removed.stop().await;
        let stopped = self.raft.stop_group(group).await;
        self.closing().insert(group, removed.store());
        drop(removed);
        if let Err(error) = self.wait_closed(group).await {
            self.set_broken(group, &error);
            tokio::spawn(Arc::clone(self).reopen(group));
            return Err(error);
        }
        Ok(stopped)
    }

    fn is_on_disk(&self, group: GroupId) -> bool {
        self.dir_of(group).exists() && !self.marker(group).exists()
    }

    /// Opens an ended replica once its store is no longer in use, however long that takes.
    async fn reopen(self: Arc<Self>, group: GroupId) {
        while !self.is_closed(group) && !self.is_stopping() {
            tokio::time::sleep(REOPEN_PAUSE).await;
        }
        let _one_at_a_time = self.changes.lock().await;
        if self.is_stopping() || !self.is_on_disk(group) || self.replica(group).is_some() {
            return;
        }
        if let Err(error) = self.start_again(group).await {
            self.set_broken(group, &error);
        }
    }

    /// The node's identity, and its catalog.
    pub(crate) fn witness(&self) -> Witness {
        let Identity {
            node_id,
            token,
            cluster_id,
        } = self.identity;
        let catalog = self.settings.peers.catalog().as_ref().clone();
        Witness {
            node_id,
            token,
            cluster_id,
            catalog,
        }
    }

    /// Whether another node was removed from the cluster, by the newest catalog here.
    pub(crate) fn is_removed(&self, node: NodeId) -> bool {
        self.settings.peers.is_removed(node)
    }

    /// Waits until the store of an ended replica is no longer in use. A store writes when it
    /// closes, and must not do so into the store of a replica that is created again.
    async fn wait_closed(&self, group: GroupId) -> Result<(), RunError> {
        let deadline = Instant::now() + self.close_timeout;
        while !self.is_closed(group) {
            if Instant::now() >= deadline {
                let reason = format!("the store of group {group} is still in use");
                return Err(RunError::Config(reason));
            }
            tokio::time::sleep(CLOSE_PAUSE).await;
        }
        self.closing().remove(&group);
        Ok(())
    }

    /// Whether the store of an ended replica is no longer in use.
    fn is_closed(&self, group: GroupId) -> bool {
        let closing = self.closing();
        closing
            .get(&group)
            .is_none_or(|store| store.strong_count() == 0)
    }

    fn closing(&self) -> MutexGuard<'_, BTreeMap<GroupId, Weak<RocksEngine>>> {
        self.closing.lock()
    }

    fn read_broken(&self) -> RwLockReadGuard<'_, BTreeMap<GroupId, Broken>> {
        self.broken.read()
    }

    fn write_broken(&self) -> RwLockWriteGuard<'_, BTreeMap<GroupId, Broken>> {
        self.broken.write()
    }

    fn set_broken(&self, group: GroupId, error: &RunError) {
        let (reason, lacks_room) = (chain(error), is_no_room(error));
        error!(group_id = %group, error = reason, "replica not opened");
        let broken = Broken { reason, lacks_room };
        self.write_broken().insert(group, broken);
    }

    fn dir_of(&self, group: GroupId) -> PathBuf {
        self.replicas_dir.join(group.to_string())
    }

    /// Opens a replica, creating it if absent, and adds it to `replicas`.
    async fn start_replica(&self, group: GroupId) -> Result<Replica, RunError> {
        let dir = self.dir_of(group);
        let starting = Replica::start(group, &dir, &self.settings, &self.raft, &self.disk);
        let replica = starting.await?;
        self.write_replicas().insert(group, replica.clone());
        self.write_broken().remove(&group);
        Ok(replica)
    }

    /// Opens a replica that was ended a moment ago. No task uses its store any more, but the last
    /// user may still be closing it. Only a failure to open shows that, so opening is retried.
    async fn start_again(&self, group: GroupId) -> Result<Replica, RunError> {
        let deadline = Instant::now() + CLOSING_TIMEOUT;
        loop {
            match self.start_replica(group).await {
                Err(RunError::Storage(_)) if Instant::now() < deadline => {
                    tokio::time::sleep(CLOSE_PAUSE).await;
                }
                started => return started,
            }
        }
    }

    fn remove(&self, group: GroupId) -> Option<Replica> {
        self.write_replicas().remove(&group)
    }

    fn write_replicas(&self) -> RwLockWriteGuard<'_, BTreeMap<GroupId, Replica>> {
        self.replicas.write()
    }

    /// Ends the tasks of all replicas.
    pub(crate) async fn stop_replicas(&self) {
        // This also waits for a replica that is being opened, so that it is ended too.
        let _one_at_a_time = self.changes.lock().await;
        let replicas = std::mem::take(&mut *self.write_replicas());
        for replica in replicas.into_values() {
            replica.stop().await;
        }
    }
}

/// Status of a replica that could not be opened: empty except for the reason.
fn not_open(group_id: GroupId, reason: String) -> ReplicaStatus {
    ReplicaStatus {
        group_id,
        fault: Some(reason),
        ..ReplicaStatus::default()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use coterie_protocol::catalog::{Catalog, Change, Row};
    use coterie_raft::{AddressBook, RaftConfig};
    use coterie_rpc::{Client, Token};
    use coterie_storage::RocksShared;
    use coterie_types::{GroupDescriptor, Role};
    use tokio::sync::watch;

    use super::*;
    use crate::addresses::Addresses;
    use crate::news::NewsLinks;
    use crate::peers::Peers;
    use crate::pubsub::PubSub;
    use crate::rate::Rate;
    use crate::replica::ReadMode;

    pub(crate) const GROUP: GroupId = GroupId(1);
    const HERE: NodeId = NodeId(1);

    /// A node that no other node reaches.
    pub(crate) struct Alone {
        pub(crate) node: Arc<Node>,
        catalog: watch::Sender<Arc<Catalog>>,
        dir: tempfile::TempDir,
    }

    impl Alone {
        pub(crate) async fn start() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let (catalog, watched) = watch::channel(Arc::default());
            let addresses = Addresses::new(watched);
            let book: Arc<dyn AddressBook> = Arc::new(addresses.clone());
            let rpc = Client::new(Token::new("t"));
            let config = RaftConfig::default();
            let raft = RaftNode::open(dir.path(), HERE, config, rpc.clone(), book, vec![]);
            let news: Arc<NewsLinks> = Arc::default();
            let settings = Settings {
                rocks: RocksShared::new(1 << 20, 0).unwrap(),
                read_mode: ReadMode::Lease,
                value_bytes_max: 1 << 20,
                scripts: Arc::new(crate::scripts::Scripts::new(addresses.clone())),
                peers: Peers::new(rpc, addresses),
                move_rate: Arc::new(Rate::new(0)),
                replies: coterie_budget::Budget::new(1 << 20),
                links: Arc::default(),
                pubsub: Arc::new(PubSub::new(Arc::clone(&news))),
                news,
            };
            let identity = Identity {
                node_id: HERE,
                token: 0,
                cluster_id: 0,
            };
            let mut node = Node::new(
                identity,
                raft.await.unwrap(),
                Disk::new(dir.path(), 0),
                Fencing::open(dir.path().join("FENCE")),
                dir.path().join("replicas"),
                settings,
            );
            node.close_timeout = Duration::from_millis(100);
            let node = Arc::new(node);
            Self { node, catalog, dir }
        }

        /// Creates a group with this replica alone.
        pub(crate) async fn make_group(&self) {
            let replica = self.node.create_replica(GROUP).await.unwrap();
            replica.group.initialize(vec![HERE]).await.unwrap();
            replica
                .group
                .wait_leader(Duration::from_secs(10))
                .await
                .unwrap();
        }

        /// The file that names the replica's store.
        fn current(&self) -> PathBuf {
            self.dir.path().join("replicas/1/CURRENT")
        }

        /// Makes the replica's directory impossible to open, or undoes that.
        pub(crate) fn damage(&self, is_damaged: bool) {
            if is_damaged {
                std::fs::write(self.current(), "no store").unwrap()
            } else {
                std::fs::remove_file(self.current()).unwrap()
            }
        }

        /// Places the group's replica on this node in the catalog.
        fn put_row(&self, node_id: NodeId) {
            let row = Row::Group(GroupDescriptor {
                group_id: GROUP,
                replicas: vec![coterie_types::Replica {
                    node_id,
                    role: Role::Voter,
                }],
            });
            self.catalog.send_modify(|catalog| {
                let catalog = Arc::make_mut(catalog);
                catalog.apply(&Change {
                    revision: catalog.revision.next(),
                    deletes: vec![],
                    upserts: vec![row],
                });
            });
        }

        fn told(&self) -> Vec<(GroupId, bool)> {
            let statuses = self.node.statuses().into_iter();
            statuses
                .map(|status| (status.group_id, status.fault.is_some()))
                .collect()
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_replica_whose_store_is_read_when_it_recovers_is_open_again_afterwards() {
        let alone = Alone::start().await;
        alone.make_group().await;
        let node = &alone.node;
        let reading = node.replica(GROUP).unwrap().store().upgrade().unwrap();
        assert!(node.recover_alone(GROUP).await.is_err());
        assert!(node.replica(GROUP).is_none());
        assert_eq!(alone.told(), [(GROUP, true)]);
        drop(reading);
        let deadline = Instant::now() + Duration::from_secs(30);
        while node.replica(GROUP).is_none() {
            assert!(Instant::now() < deadline, "{:?}", node.faults());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(alone.told(), [(GROUP, false)]);
        node.recover_alone(GROUP).await.unwrap();
        assert_eq!(alone.told(), [(GROUP, false)]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_cannot_be_opened_is_told_and_gives_way_when_its_group_is_elsewhere() {
        let alone = Alone::start().await;
        let node = &alone.node;
        std::fs::create_dir_all(alone.current().parent().unwrap()).unwrap();
        alone.damage(true);
        node.open_replicas().await.unwrap();
        assert_eq!(alone.told(), [(GROUP, true)]);
        assert_eq!(node.faults().len(), 1);

        assert!(node.create_replica(GROUP).await.is_err(), "nobody knows");
        alone.put_row(HERE);
        assert!(node.create_replica(GROUP).await.is_err(), "it is here");
        assert!(alone.current().exists());
        assert_eq!(alone.told(), [(GROUP, true)]);
        alone.put_row(NodeId(2));
        node.create_replica(GROUP).await.unwrap();
        assert!(!alone.current().exists());
        assert_eq!(alone.told(), [(GROUP, false)]);
        assert!(node.faults().is_empty());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_cannot_be_opened_can_be_destroyed() {
        let alone = Alone::start().await;
        let node = &alone.node;
        std::fs::create_dir_all(alone.current().parent().unwrap()).unwrap();
        alone.damage(true);
        node.open_replicas().await.unwrap();
        node.destroy_replica(GROUP).await.unwrap();
        assert_eq!(alone.told(), []);
        assert!(node.faults().is_empty());
        assert!(node.opened_replica(GROUP).await.unwrap().is_none());
    }
}
