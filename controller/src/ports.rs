//! The executor's doors to the world: meta and the servers. Tests replace both.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use coterie_meta_client::{MetaClient, MetaError};
use coterie_protocol::catalog::{Catalog, Lease};
use coterie_protocol::meta::{Command, Outcome};
use coterie_protocol::server::{ServerAnswer, ServerRequest};
use coterie_protocol::{decode, encode, method};
use coterie_types::{NodeId, Revision, UnixMillis};
use tokio::sync::watch;

use crate::view::View;

/// How long meta may take to answer a proposal.
const PROPOSE_TIMEOUT: Duration = Duration::from_secs(5);
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the copy of the catalog may take to show a change that was just written.
const COPY_TIMEOUT: Duration = Duration::from_secs(5);

/// Meta, where the controller writes its jobs.
pub(crate) trait Meta: Send + Sync + 'static {
    /// Proposes a command, and returns its outcome.
    fn propose(&self, command: Command) -> impl Future<Output = Result<Outcome, MetaError>> + Send;

    /// The newest copy of the catalog.
    fn catalog(&self) -> Arc<Catalog>;

    /// Waits until the copy has `revision`.
    fn reached(&self, revision: Revision) -> impl Future<Output = Result<(), MetaError>> + Send;

    /// The newest copy of the catalog, with the nodes' heartbeats.
    fn view(&self) -> impl Future<Output = Result<View, MetaError>> + Send;

    /// The controller's lease. Read from meta, since its renewals do not reach the copies.
    fn lease(&self) -> impl Future<Output = Result<Lease, MetaError>> + Send;
}

/// The servers, which carry the jobs' requests out.
pub(crate) trait Servers: Send + Sync + 'static {
    /// Sends a request to a node. An error says why there is no answer; the node may have carried
    /// the request out all the same.
    fn ask(
        &self,
        node_id: NodeId,
        request: ServerRequest,
        timeout: Duration,
    ) -> impl Future<Output = Result<ServerAnswer, String>> + Send;
}

/// Meta through its client, with a copy of the catalog that follows.
pub(crate) struct RealMeta {
    pub(crate) client: MetaClient,
    pub(crate) copy: watch::Receiver<Arc<Catalog>>,
}

impl Meta for RealMeta {
    async fn propose(&self, command: Command) -> Result<Outcome, MetaError> {
        self.client.propose(command, PROPOSE_TIMEOUT).await
    }

    fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.copy.borrow())
    }

    async fn reached(&self, revision: Revision) -> Result<(), MetaError> {
        let mut copy = self.copy.clone();
        let newer = copy.wait_for(|copy| copy.revision >= revision);
        match tokio::time::timeout(COPY_TIMEOUT, newer).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(MetaError::Unavailable {
                reason: format!("the copy of the catalog does not reach revision {revision}"),
            }),
        }
    }

    async fn view(&self) -> Result<View, MetaError> {
        let liveness = self.client.liveness().await?;
        Ok(View::new(self.catalog(), liveness, wall_clock()))
    }

    async fn lease(&self) -> Result<Lease, MetaError> {
        Ok(self.client.read(READ_TIMEOUT).await?.lease)
    }
}

/// Servers at their addresses in the catalog.
pub(crate) struct RealServers {
    pub(crate) rpc: coterie_rpc::Client,
    pub(crate) copy: watch::Receiver<Arc<Catalog>>,
}

impl Servers for RealServers {
    async fn ask(
        &self,
        node_id: NodeId,
        request: ServerRequest,
        timeout: Duration,
    ) -> Result<ServerAnswer, String> {
        let addr = {
            let catalog = self.copy.borrow();
            catalog.nodes.get(&node_id).map(|node| node.addr.clone())
        };
        let addr = addr
            .filter(|addr| !addr.is_empty())
            .ok_or_else(|| format!("node {node_id} has no address"))?;
        let answer = self
            .rpc
            .call(&addr, method::SERVER_ADMIN, encode(&request), timeout)
            .await
            .map_err(|error| error.to_string())?;
        decode(&answer).map_err(|error| error.to_string())
    }
}

/// The wall clock, for people who read jobs, and for the rest of a group between two transfers.
/// Nothing else depends on it.
pub(crate) fn wall_clock() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    UnixMillis(since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }))
}
