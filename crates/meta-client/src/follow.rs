//! Keeps a copy of the catalog by long polls of the members in turn.
//!
//! The copy never goes back: an answer older than the copy changes nothing. When a poll ends
//! without a change, the next member is asked, so that a member that is cut off from the others
//! delays the copy by at most a single poll.

use std::sync::Arc;
use std::time::Duration;

use coterie_protocol::catalog::{Catalog, Change};
use coterie_protocol::meta::{MetaAnswer, MetaRequest};
use coterie_protocol::{decode, encode, method};
use coterie_rpc::Client;
use tokio::sync::watch;
use tracing::debug;

use crate::peers::Peers;

/// How long a member may hold a watch without changes.
const WAIT: Duration = Duration::from_secs(4);

/// Time beyond the wait after which a member counts as stuck.
const GRACE: Duration = Duration::from_secs(2);

const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// The body of the task.
pub(crate) async fn run(rpc: Client, peers: Arc<Peers>, copy: watch::Sender<Arc<Catalog>>) {
    tokio::select! {
        () = follow(&rpc, &peers, &copy) => {}
        () = copy.closed() => {}
    }
}

async fn follow(rpc: &Client, peers: &Peers, copy: &watch::Sender<Arc<Catalog>>) {
    let mut turn = 0;
    let mut pause = PAUSE_MIN;
    while let Some(addr) = peers.in_turn(turn) {
        let request = MetaRequest::Watch {
            after: copy.borrow().revision,
            wait_ms: WAIT.as_millis() as u64,
        };
        let called = rpc.call(&addr, method::META, encode(&request), WAIT + GRACE);
        let answer = match called.await {
            Ok(body) => decode(&body).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match answer {
            Ok(MetaAnswer::Changes(changes)) => {
                if changes.is_empty() || !take_changes(copy, &changes) {
                    turn += 1;
                }
                pause = PAUSE_MIN;
            }
            Ok(MetaAnswer::Catalog(catalog)) if take_catalog(copy, &catalog) => {
                pause = PAUSE_MIN;
            }
            other => {
                debug!(addr, ?other, "a watch of the catalog failed");
                turn += 1;
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }
}

/// Applies the changes that continue the copy; returns whether there were any.
fn take_changes(copy: &watch::Sender<Arc<Catalog>>, changes: &[Change]) -> bool {
    copy.send_if_modified(|copy| {
        let before = copy.revision;
        for change in changes {
            if change.revision == copy.revision.next() {
                Arc::make_mut(copy).apply(change);
            }
        }
        copy.revision > before
    })
}

/// Takes the full copy if it is newer; returns whether it was.
fn take_catalog(copy: &watch::Sender<Arc<Catalog>>, catalog: &Catalog) -> bool {
    copy.send_if_modified(|copy| {
        let newer = catalog.revision > copy.revision;
        if newer {
            *copy = Arc::new(catalog.clone());
        }
        newer
    })
}
