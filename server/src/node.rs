//! What this process serves: its replicas, and what all of them share.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use coterie_files::write_atomically;
use coterie_protocol::server::Witness;
use coterie_raft::RaftNode;
use coterie_storage::RocksEngine;
use coterie_types::{GroupId, NodeId};
use tokio::sync::Mutex;
use tracing::error;

use crate::admin::{Fencing, chain};
use crate::disk::Disk;
use crate::error::RunError;
use crate::replica::{Replica, Settings, groups_in};

pub(crate) struct Node {
    pub(crate) node_id: NodeId,
    identity: Identity,
    pub(crate) raft: Arc<RaftNode>,
    pub(crate) disk: Arc<Disk>,
    pub(crate) fencing: Fencing,
    /// The process stops: its leaders are to move elsewhere.
    pub(crate) stopping: AtomicBool,
    replicas_dir: PathBuf,
    pub(crate) settings: Settings,
    replicas: RwLock<BTreeMap<GroupId, Replica>>,
    /// Replicas of the directory that could not be opened, and why.
    broken: RwLock<BTreeMap<GroupId, String>>,
    /// Stores of replicas that were ended and may still be in use.
    closing: std::sync::Mutex<BTreeMap<GroupId, Weak<RocksEngine>>>,
    /// Replicas are made and destroyed one at a time.
    changes: Mutex<()>,
}

/// How long the store of an ended replica may be in use: a read that walks all of it, at most.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(8);
const CLOSE_PAUSE: Duration = Duration::from_millis(5);

/// What meta knows the node by.
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
            stopping: AtomicBool::new(false),
            replicas_dir,
            settings,
            replicas: RwLock::default(),
            broken: RwLock::default(),
            closing: std::sync::Mutex::default(),
            changes: Mutex::new(()),
        }
    }

    pub(crate) fn replica(&self, group: GroupId) -> Option<Replica> {
        let replicas = self.replicas.read().unwrap_or_else(PoisonError::into_inner);
        replicas.get(&group).cloned()
    }

    pub(crate) fn replicas(&self) -> Vec<Replica> {
        let replicas = self.replicas.read().unwrap_or_else(PoisonError::into_inner);
        replicas.values().cloned().collect()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// What is wrong with which replica: those that could not be opened, and those that stopped.
    pub(crate) fn faults(&self) -> Vec<(GroupId, String)> {
        let broken = self
            .broken
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let stopped = self.replicas().into_iter().filter_map(|replica| {
            let fault = replica.group.status().fault?;
            Some((replica.group.id(), fault))
        });
        broken.into_iter().chain(stopped).collect()
    }

    /// Opens every replica of the directory, all at once: opening waits for the disk. One that
    /// cannot be opened is reported and left as it is; the others serve.
    pub(crate) async fn open_replicas(self: &Arc<Self>) -> Result<(), RunError> {
        let groups =
            groups_in(&self.replicas_dir).map_err(RunError::io("read", &self.replicas_dir))?;
        let mut opening = tokio::task::JoinSet::new();
        for group in groups {
            let node = Arc::clone(self);
            opening.spawn(async move {
                if let Err(error) = node.open_replica(group).await {
                    let reason = chain(&error);
                    error!(group_id = %group, error = reason, "replica not opened");
                    let mut broken = node.broken.write().unwrap_or_else(PoisonError::into_inner);
                    broken.insert(group, reason);
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
        self.insert(self.start_replica(group).await?);
        Ok(())
    }

    /// The file that says that a replica is being destroyed, should a crash come in between.
    fn marker(&self, group: GroupId) -> PathBuf {
        self.replicas_dir.join(group.to_string()).join("DESTROYED")
    }

    /// The replica of a group, made if it is not there.
    pub(crate) async fn create_replica(&self, group: GroupId) -> Result<Replica, RunError> {
        let _one_at_a_time = self.changes.lock().await;
        if let Some(replica) = self.replica(group) {
            return Ok(replica);
        }
        if self.marker(group).exists() {
            self.destroy(group).await?;
        }
        let replica = self.start_replica(group).await?;
        self.insert(replica.clone());
        Ok(replica)
    }

    /// Ends a replica and removes all that is left of it. Does nothing if there is none.
    pub(crate) async fn destroy_replica(&self, group: GroupId) -> Result<(), RunError> {
        let _one_at_a_time = self.changes.lock().await;
        self.destroy(group).await
    }

    async fn destroy(&self, group: GroupId) -> Result<(), RunError> {
        let removed = self
            .replicas
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&group);
        let dir = self.replicas_dir.join(group.to_string());
        if dir.exists() {
            let marker = self.marker(group);
            write_atomically(&marker, b"").map_err(RunError::io("write", &marker))?;
        }
        if let Some(replica) = &removed {
            replica.stop().await;
        }
        // The log first: the marker, which finds the rest again after a crash, is in the directory.
        let forgotten = self.raft.destroy_group(group).await;
        if let Some(replica) = removed {
            // Only now it is the last one: a snapshot may have come until the group was stopped.
            self.closing().insert(group, replica.store());
        }
        forgotten?;
        self.wait_closed(group).await?;
        match tokio::fs::remove_dir_all(&dir).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(RunError::io("remove", &dir)(error))
            }
            _ => Ok(()),
        }
    }

    /// Restarts a replica as the only voter of its group.
    pub(crate) async fn recover_alone(&self, group: GroupId) -> Result<(), RunError> {
        let _one_at_a_time = self.changes.lock().await;
        let removed = self
            .replicas
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&group);
        let Some(removed) = removed else {
            return Err(RunError::Config(format!(
                "group {group} has no replica here"
            )));
        };
        removed.stop().await;
        let stopped = self.raft.stop_group(group).await;
        self.closing().insert(group, removed.store());
        drop(removed);
        self.wait_closed(group).await?;
        let recovered = match stopped {
            Ok(()) => self.raft.recover_alone(group).await,
            Err(error) => Err(error),
        };
        // As it was, if nothing came of it.
        self.insert(self.start_replica(group).await?);
        Ok(recovered?)
    }

    /// Who this node is, and what it knows of the cluster.
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

    /// Whether another node was removed from the cluster, as far as it is known here.
    pub(crate) fn is_removed(&self, node: NodeId) -> bool {
        self.settings.peers.is_removed(node)
    }

    /// Waits until nobody uses the store of a replica that was ended: it writes when it closes, and
    /// must not do so into the store of a replica that is made again.
    async fn wait_closed(&self, group: GroupId) -> Result<(), RunError> {
        let store = self.closing().get(&group).cloned();
        let deadline = Instant::now() + CLOSE_TIMEOUT;
        while store.as_ref().is_some_and(|store| store.strong_count() > 0) {
            if Instant::now() >= deadline {
                let reason = format!("the store of group {group} is still in use");
                return Err(RunError::Config(reason));
            }
            tokio::time::sleep(CLOSE_PAUSE).await;
        }
        self.closing().remove(&group);
        Ok(())
    }

    fn closing(&self) -> MutexGuard<'_, BTreeMap<GroupId, Weak<RocksEngine>>> {
        self.closing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn start_replica(&self, group: GroupId) -> Result<Replica, RunError> {
        let dir = self.replicas_dir.join(group.to_string());
        Replica::start(group, &dir, &self.settings, &self.raft, &self.disk).await
    }

    fn insert(&self, replica: Replica) {
        let id = replica.group.id();
        self.replicas
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id, replica);
    }

    /// Ends every replica's tasks.
    pub(crate) async fn stop_replicas(&self) {
        let replicas = std::mem::take(
            &mut *self
                .replicas
                .write()
                .unwrap_or_else(PoisonError::into_inner),
        );
        for replica in replicas.into_values() {
            replica.stop().await;
        }
    }
}
