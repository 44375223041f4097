//! Removes expired records through the log, so that every replica removes the same.
//!
//! The leader walks the index of expiries up to its group clock and proposes the expired keys, a
//! bounded number at a time. Readers do not wait for it: an expired key is hidden at once. The
//! index may name keys that were written again since; applying decides (decision record
//! `2026-11-23-expiry-by-committed-clock`).

use std::sync::Arc;
use std::time::Duration;

use coterie_group::{Body, Expired};
use coterie_raft::{Fault, Group};
use coterie_storage::{Reader, layout};
use tokio_util::sync::CancellationToken;

use super::shared::Shared;
use super::waiting::{Waiting, term_of};

/// How often the index is checked while there is little or nothing to do.
const PERIOD: Duration = Duration::from_secs(1);
/// Pause between full sweeps: limits the rate to some ten thousand keys a second.
const PAUSE: Duration = Duration::from_millis(50);
/// Pause after the store could not be read.
const FAULT_PAUSE: Duration = Duration::from_secs(30);
/// Keys in an entry, at most.
const KEYS_MAX: usize = 512;

/// Runs until `stop`.
pub(super) async fn run(
    group: Group,
    shared: Arc<Shared>,
    waiting: Arc<Waiting>,
    stop: CancellationToken,
) {
    let mut pause = PERIOD;
    while stop
        .run_until_cancelled(tokio::time::sleep(pause))
        .await
        .is_some()
    {
        // A proposal without a majority waits forever; a stop must not wait with it.
        let swept = stop.run_until_cancelled(sweep(&group, &shared, &waiting));
        let Some(swept) = swept.await else { return };
        pause = match swept {
            Ok(removed) if removed == KEYS_MAX => PAUSE,
            Ok(_) => PERIOD,
            Err(fault) => {
                tracing::error!(group_id = %group.id(), error = %fault, "expired keys not read");
                FAULT_PAUSE
            }
        };
    }
}

/// Proposes the removal of expired keys; returns how many they are.
async fn sweep(group: &Group, shared: &Arc<Shared>, waiting: &Waiting) -> Result<usize, Fault> {
    if !group.lease_read_ready() {
        return Ok(0);
    }
    let looking = Arc::clone(shared);
    let found = tokio::task::spawn_blocking(move || expired(&looking)).await??;
    let count = found.len();
    if count > 0 {
        shared.note_term(term_of(group));
        let entry = shared.entry(Body::Sweep(found.clone()));
        // An error is ignored: if leadership is lost, the next leader sweeps.
        if group.propose(entry).await.is_ok() {
            // A command that waits for a key that expired may have to be told so.
            waiting.touch(found.iter().map(|expired| (expired.table, &expired.key)));
        }
    }
    Ok(count)
}

fn expired(shared: &Shared) -> Result<Vec<Expired>, Fault> {
    let until = shared.now();
    let (start, end) = layout::expiry_interval(until);
    let mut found = Vec::new();
    let mut visit = |stored: &[u8], _: &[u8]| {
        found.extend(
            layout::parse_expiry_key(stored).map(|(at, table, key)| Expired { at, table, key }),
        );
        found.len() < KEYS_MAX
    };
    shared.published().engine.scan(&start, &end, &mut visit)?;
    Ok(found)
}
