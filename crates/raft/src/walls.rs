//! The wall clocks of other nodes, as reported with their answers to appends and votes.
//!
//! A node reads its clock between the question and the arrival of the answer. The reading is dated
//! at the arrival, so a clock known here is behind the true clock by at most the round trip, and
//! never ahead. A reading counts for [`VALID`]. A newly elected node knows the clocks of a
//! majority: they came with the votes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use coterie_types::NodeId;
use parking_lot::RwLock;

/// How long a reading counts: the clock may have been set since.
const VALID: Duration = Duration::from_secs(10);

/// This node's wall clock, since the Unix epoch.
pub(crate) fn own_wall() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    // A clock before 1970 is as wrong as a clock at 1970.
    now.unwrap_or_default()
}

/// The last reading of each node's clock, and when it arrived. Bounded by the nodes of the cluster.
#[derive(Debug, Default)]
pub(crate) struct Walls(RwLock<BTreeMap<NodeId, (Duration, Instant)>>);

impl Walls {
    /// Records a clock reading that has just arrived.
    pub(crate) fn heard(&self, node: NodeId, wall: Duration) {
        let mut all = self.0.write();
        all.insert(node, (wall, Instant::now()));
    }

    /// A node's present wall clock, if known.
    pub(crate) fn now(&self, node: NodeId) -> Option<Duration> {
        let all = self.0.read();
        let (wall, at) = all.get(&node)?;
        let age = at.elapsed();
        (age < VALID).then(|| wall.saturating_add(age))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_heard_goes_on() {
        let walls = Walls::default();
        assert_eq!(walls.now(NodeId(2)), None);
        walls.heard(NodeId(2), Duration::from_secs(7));
        let now = walls.now(NodeId(2));
        assert!(
            now.is_some_and(|now| now >= Duration::from_secs(7)),
            "{now:?}"
        );
    }
}
