//! A server that was removed from its cluster: it wipes its directory and joins anew, as a spare.
//!
//! Meta removes a node only when no replica is placed on it any more, so nothing of value is lost;
//! or when an operator has declared it lost, and the groups went on without it. Its id never comes
//! back: everything it acknowledged under that id is forgotten with it.
//!
//! A server whose log can no longer be written ends: it would take part in nothing, and look alive.

use std::time::Duration;

use coterie_rpc::Client;
use coterie_telemetry::{Health, Metrics};
use coterie_types::NodeId;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::config::Config;
use crate::directory::Directory;
use crate::error::{RunError, chain};
use crate::run::{Handle, start_until, start_with};

/// How long a server that cannot go on may take to stop before its process ends.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);

/// Runs a server until `shutdown`, or until it cannot go on. A removed server goes on as a new
/// node.
pub async fn run(config: Config, shutdown: CancellationToken) -> Result<(), RunError> {
    loop {
        let handle = match start_until(config.clone(), &shutdown).await {
            Err(RunError::Stopped) => return Ok(()),
            Err(RunError::Removed(node_id)) => {
                wipe(&config, node_id)?;
                continue;
            }
            started => started?,
        };
        if !ran_until_removed(handle, &shutdown).await? {
            return Ok(());
        }
        Directory::wipe(&config.dir)?;
    }
}

/// A server that shares its process with other roles, and goes on as a new node when it is removed.
pub struct Service {
    stop: CancellationToken,
    failed: CancellationToken,
    task: JoinHandle<()>,
}

impl Service {
    /// Starts the service; see [`start_with`].
    pub async fn start(
        config: Config,
        rpc: Client,
        metrics: &Metrics,
        health: &Health,
    ) -> Result<Self, RunError> {
        let (stop, failed) = (CancellationToken::new(), CancellationToken::new());
        let started = start_with(config.clone(), rpc.clone(), metrics, health).await;
        let first = match started {
            Err(RunError::Removed(node_id)) => {
                wipe(&config, node_id)?;
                start_with(config.clone(), rpc.clone(), metrics, health).await?
            }
            started => started?,
        };
        let (metrics, health) = (metrics.clone(), health.clone());
        let (stopped, cannot_go_on) = (stop.clone(), failed.clone());
        let task = tokio::spawn(async move {
            let mut handle = first;
            loop {
                match ran_until_removed(handle, &stopped).await {
                    Ok(true) => {}
                    Ok(false) => return,
                    Err(_) => return cannot_go_on.cancel(),
                }
                let again = match Directory::wipe(&config.dir) {
                    Ok(()) => start_with(config.clone(), rpc.clone(), &metrics, &health).await,
                    Err(error) => Err(error),
                };
                match again {
                    Ok(started) => handle = started,
                    Err(error) => {
                        error!(%error, "the server does not join anew: restart the process");
                        return cannot_go_on.cancel();
                    }
                }
            }
        });
        Ok(Self { stop, failed, task })
    }

    /// Cancelled when the server cannot go on, or cannot join anew; the log has the reason.
    #[must_use]
    pub fn failed(&self) -> CancellationToken {
        self.failed.clone()
    }

    /// Stops the server, as [`Handle::shutdown`] does.
    pub async fn shutdown(self) {
        self.stop.cancel();
        // A panic of the task has been reported.
        let _ = self.task.await;
    }
}

/// Empties the directory of a node that was removed while it was away.
fn wipe(config: &Config, node_id: NodeId) -> Result<(), RunError> {
    warn!(%node_id, "this node was removed while it was away: it wipes itself and joins anew");
    Directory::wipe(&config.dir)
}

/// Runs the server until `stop`, or until it is removed. Returns whether it was removed, or an
/// error when it cannot go on.
async fn ran_until_removed(handle: Handle, stop: &CancellationToken) -> Result<bool, RunError> {
    let (removed, failed) = (handle.removed.clone(), handle.failed());
    let node_id = handle.node_id;
    tokio::select! {
        () = stop.cancelled() => {
            handle.shutdown().await;
            Ok(false)
        }
        () = removed.cancelled() => {
            warn!(%node_id, "this node was removed: it wipes itself and joins anew");
            handle.shutdown().await;
            Ok(true)
        }
        failure = failed => {
            error!(%node_id, error = chain(&failure), "this node stops: restart the process");
            if tokio::time::timeout(STOP_TIMEOUT, handle.shutdown()).await.is_err() {
                warn!(%node_id, "not all of the node has stopped");
            }
            Err(failure)
        }
    }
}
