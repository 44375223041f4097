//! Says of each group that this node leads that its leader lives.
//!
//! openraft sends heartbeats by itself, but waits for the answer to one no longer than it pauses
//! between two. On a machine with much to do answers take longer, though nothing is wrong: then the leader
//! hears of nobody, takes its quorum for lost after a lease, and falls silent. So openraft is told to
//! pause for nearly a lease, and to wait as long, and heartbeats are sent from here.

use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::machine::Machine;
use crate::type_config::TypeConfig;

/// Sends a heartbeat each `interval`, if the node leads then. Ends with the group.
pub(crate) async fn run(raft: openraft::Raft<TypeConfig, Machine>, interval: Duration) {
    let mut beats = tokio::time::interval(interval);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        beats.tick().await;
        if raft.as_leader().is_ok() && raft.trigger().heartbeat().await.is_err() {
            return;
        }
    }
}
