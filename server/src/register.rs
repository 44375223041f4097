//! Gets the node's id: from meta at the first start. Later starts know it and only check it with
//! meta.

use std::time::Duration;

use coterie_meta_client::MetaClient;
use coterie_protocol::meta::{Command, Outcome, Rejection};
use coterie_types::NodeId;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::directory::Directory;
use crate::error::RunError;

const ASK_TIMEOUT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(200);

/// Pause between two attempts to tell meta the news that it did not take at the start.
const TELL_PAUSE: Duration = Duration::from_secs(1);

/// The properties that a node registers with.
pub(crate) struct Card {
    pub(crate) addr: String,
    pub(crate) zone: String,
    pub(crate) host: String,
    pub(crate) capacity_bytes: u64,
}

/// The node's id, and news for meta.
pub(crate) struct Registered {
    pub(crate) node_id: NodeId,
    /// The command that meta has yet to be told, as it was away.
    pub(crate) untold: Option<Command>,
}

/// The node's id. The first start waits until meta answers. Later starts only check it with meta,
/// and go on when meta is away.
pub(crate) async fn node_id(
    directory: &mut Directory,
    meta: &MetaClient,
    card: &Card,
    stop: &CancellationToken,
) -> Result<Registered, RunError> {
    let known = directory.member();
    loop {
        let asked = meta.propose(command(directory, card), ASK_TIMEOUT);
        let answer = stop
            .run_until_cancelled(asked)
            .await
            .ok_or(RunError::Stopped)?;
        match answer {
            Ok(Outcome::Registered {
                node_id,
                cluster_id,
            }) => {
                directory.belongs_to(node_id, cluster_id)?;
                info!(%node_id, "registered");
                let untold = None;
                return Ok(Registered { node_id, untold });
            }
            Ok(Outcome::Rejected(Rejection::Removed(node_id))) => {
                return Err(RunError::Removed(node_id));
            }
            Ok(Outcome::Rejected(reason)) => return Err(RunError::Refused(reason.to_string())),
            Ok(other) => return Err(RunError::Refused(format!("unexpected answer {other:?}"))),
            Err(error) => match known {
                Some((node_id, _)) => {
                    warn!(%node_id, %error, "meta is away: going on with what is known");
                    let untold = Some(command(directory, card));
                    return Ok(Registered { node_id, untold });
                }
                None => warn!(%error, "waiting for meta to give this node its id"),
            },
        }
        if stop
            .run_until_cancelled(tokio::time::sleep(PAUSE))
            .await
            .is_none()
        {
            return Err(RunError::Stopped);
        }
    }
}

/// Repeats the command that meta did not take at the start, until it answers: a machine that has
/// booted again is another host, and its members of meta start beside the server.
pub(crate) async fn tell(meta: MetaClient, untold: Option<Command>, stop: CancellationToken) {
    let Some(command) = untold else {
        return;
    };
    let telling = async {
        loop {
            match meta.propose(command.clone(), ASK_TIMEOUT).await {
                Ok(Outcome::Registered { node_id, .. }) => {
                    info!(%node_id, "registered, now that meta answers");
                    return;
                }
                // Its heartbeats are answered in the same way.
                Ok(Outcome::Rejected(reason)) => {
                    warn!(%reason, "meta does not take what this node says of itself");
                    return;
                }
                Ok(other) => {
                    warn!(?other, "meta answers something else");
                    return;
                }
                Err(_) => tokio::time::sleep(TELL_PAUSE).await,
            }
        }
    };
    stop.run_until_cancelled(telling).await;
}

fn command(directory: &Directory, card: &Card) -> Command {
    Command::RegisterNode {
        token: directory.token(),
        addr: card.addr.clone(),
        zone: card.zone.clone(),
        host: card.host.clone(),
        capacity_bytes: card.capacity_bytes,
    }
}
