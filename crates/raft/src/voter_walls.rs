//! The wall clocks of a group's voters.

use std::time::Duration;

use coterie_types::NodeId;
use openraft::async_runtime::WatchReceiver;

use crate::group::Group;
use crate::walls::own_wall;

/// Reads the clocks of a group's voters. Holds no reference to the group.
pub struct VoterWalls(Box<ReadWalls>);

type ReadWalls = dyn Fn() -> Vec<Vec<Option<Duration>>> + Send + Sync;

impl VoterWalls {
    /// The voters' present wall clocks, since the Unix epoch, per configuration (two during a
    /// change); `None` for voters without a recent reading.
    #[must_use]
    pub fn read(&self) -> Vec<Vec<Option<Duration>>> {
        self.0()
    }
}

impl Group {
    /// The wall clocks of the group's voters: a leader knows those of a majority.
    #[must_use]
    pub fn voter_walls(&self) -> VoterWalls {
        let metrics = self.0.raft.server_metrics();
        let walls = self.0.network.walls.clone();
        let own = self.0.node_id;
        VoterWalls(Box::new(move || {
            let metrics = metrics.borrow_watched();
            let membership = metrics.membership_config.membership();
            let wall = |node: &u64| match NodeId(*node) {
                node if node == own => Some(own_wall()),
                node => walls.now(node),
            };
            let configurations = membership.get_joint_config().iter();
            configurations
                .map(|voters| voters.iter().map(wall).collect())
                .collect()
        }))
    }
}
