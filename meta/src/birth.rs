//! How a cluster begins: the first leader proposes the cluster's id, or the state of a backup.
//!
//! Runs on every member until the cluster is born, and then checks that this member's directory
//! belongs to that cluster. The leader first waits a while for the others: a member that is absent
//! at the birth cannot be told from a member that has lost its disk (`joining`). A restored cluster
//! begins with the seed that `restore` put into the directory of each member.

use std::fs;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use coterie_files::{FileError, sync_parent};
use coterie_protocol::encode;
use coterie_protocol::meta::Command;
use tracing::{debug, info};

use crate::directory::Directory;
use crate::held::Held;
use crate::joining::Joining;
use crate::snapshot::Snapshot;

/// Pause between two checks whether this member leads.
const PAUSE: Duration = Duration::from_millis(50);

/// How long a leader waits for members that do not take part yet.
const PATIENCE: Duration = Duration::from_secs(5);

/// The command that this member proposes if it is the first leader.
pub(crate) fn first_command(directory: &Directory) -> Result<Command, FileError> {
    if let Some(seed) = Snapshot::read(&directory.seed())? {
        return Ok(Command::Restore {
            state: encode(&seed.state),
        });
    }
    let mut id = [0; 16];
    getrandom::fill(&mut id)
        .map_err(io::Error::other)
        .map_err(FileError::io("draw a cluster id for", &directory.seed()))?;
    // 0 means no cluster. Chance practically never gives it.
    Ok(Command::Birth {
        cluster_id: u128::from_le_bytes(id).max(1),
    })
}

/// Waits for the cluster's birth, and brings it about if this member leads.
pub(crate) async fn attend(
    joining: &Joining,
    held: &Arc<Held>,
    directory: &mut Directory,
    first: &Command,
) -> Result<(), FileError> {
    let mut positions = held.positions();
    let payload: Bytes = encode(first);
    let mut leads_since = None;
    let cluster_id = loop {
        let cluster_id = held.snapshot().state.catalog.cluster_id;
        if cluster_id != 0 {
            break cluster_id;
        }
        if joining.group.status().is_leader {
            let since = *leads_since.get_or_insert_with(Instant::now);
            if joining.all_take_part().await || since.elapsed() >= PATIENCE {
                match joining.group.propose(payload.clone()).await {
                    Ok(_) => info!("the cluster is born"),
                    Err(error) => debug!(%error, "the cluster's birth is delayed"),
                }
            }
        }
        // The positions change when another leader has brought it about.
        let _ = tokio::time::timeout(PAUSE, positions.changed()).await;
    };
    directory.belongs_to(cluster_id)?;
    match fs::remove_file(directory.seed()) {
        Ok(()) => sync_parent(&directory.seed()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
    .map_err(FileError::io("remove", &directory.seed()))
}
