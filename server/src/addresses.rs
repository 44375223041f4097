//! Addresses of the other nodes: from meta's catalog, kept on disk for when meta is away.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use coterie_files::write_atomically;
use coterie_protocol::catalog::Catalog;
use coterie_raft::AddressBook;
use coterie_types::{NodeId, NodeState};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Delay before a change of the map, other than of nodes, is written to disk.
const MAP_PERIOD: Duration = Duration::from_secs(10);

/// The newest catalog that this node has received.
#[derive(Clone)]
pub(crate) struct Addresses(watch::Receiver<Arc<Catalog>>);

impl Addresses {
    pub(crate) fn new(catalog: watch::Receiver<Arc<Catalog>>) -> Self {
        Self(catalog)
    }

    /// The catalog, and its changes.
    pub(crate) fn follow(&self) -> watch::Receiver<Arc<Catalog>> {
        self.0.clone()
    }

    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.0.borrow())
    }

    /// Waits for a change, or until `due` if that is given. Returns whether more changes may come.
    async fn news(&mut self, due: Option<Instant>) -> bool {
        match due {
            None => self.0.changed().await.is_ok(),
            // A timeout counts as a change: the copy is due to be written.
            Some(due) => tokio::time::timeout_at(due, self.0.changed())
                .await
                .map_or(true, |changed| changed.is_ok()),
        }
    }

    /// Keeps the copy on disk fresh until `stop`. It is rewritten at once when a node moved, came
    /// or went. It is rewritten some time after the rest of the map changed, in case meta loses
    /// everything.
    pub(crate) async fn keep(mut self, path: PathBuf, stop: CancellationToken) {
        let mut kept = self.catalog();
        // When a change of the map is due to be written.
        let mut due = None;
        while let Some(true) = stop.run_until_cancelled(self.news(due)).await {
            let catalog = Arc::clone(&self.0.borrow_and_update());
            if catalog.nodes == kept.nodes {
                if is_same_map(&catalog, &kept) {
                    due = None;
                    continue;
                }
                // The map changes often, and may be large.
                let at = *due.get_or_insert_with(|| Instant::now() + MAP_PERIOD);
                if Instant::now() < at {
                    continue;
                }
            }
            due = None;
            kept = Arc::clone(&catalog);
            let bytes = coterie_protocol::encode(catalog.as_ref());
            let path = path.clone();
            let written =
                tokio::task::spawn_blocking(move || write_atomically(&path, &bytes)).await;
            if let Ok(Err(error)) = written {
                tracing::warn!(%error, "the copy of the catalog was not written");
            }
        }
    }
}

/// Whether two catalogs are equal but for their jobs and nodes.
fn is_same_map(a: &Catalog, b: &Catalog) -> bool {
    a.tables == b.tables
        && a.groups == b.groups
        && a.settings == b.settings
        && a.ranges == b.ranges
        && a.dropped == b.dropped
}

/// The copy of an earlier run; `None` when there is no readable copy.
pub(crate) fn load(path: &std::path::Path) -> Option<Catalog> {
    let bytes = std::fs::read(path).ok()?;
    match coterie_protocol::decode(&bytes) {
        Ok(catalog) => Some(catalog),
        Err(error) => {
            // Meta has the truth; the copy is of use only while meta is away.
            tracing::warn!(%error, "the copy of the catalog cannot be read");
            None
        }
    }
}

impl AddressBook for Addresses {
    fn address(&self, node: NodeId) -> Option<String> {
        self.0
            .borrow()
            .nodes
            .get(&node)
            .map(|node| node.addr.clone())
    }

    fn is_removed(&self, node: NodeId) -> bool {
        let catalog = self.0.borrow();
        let node = catalog.nodes.get(&node);
        node.is_some_and(|node| node.state == NodeState::Removed)
    }
}
