//! Sends heartbeats for every group that this node leads.
//!
//! openraft sends heartbeats by itself, but uses the same number for the pause between two
//! heartbeats and for the wait for an answer. On a busy machine answers take longer than the pause
//! although nothing is wrong; the leader then counts its quorum as lost after a lease and stops.
//! Therefore openraft is configured with a pause and a wait of nearly a lease, and this task sends
//! the frequent heartbeats.

use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::machine::OpenraftMachine;
use crate::type_config::TypeConfig;

/// Sends a heartbeat every `interval` while this node leads. Ends with the group.
pub(crate) async fn run(raft: openraft::Raft<TypeConfig, OpenraftMachine>, interval: Duration) {
    let mut beats = tokio::time::interval(interval);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beats.tick().await;
        if raft.as_leader().is_ok() && raft.trigger().heartbeat().await.is_err() {
            return;
        }
    }
}
