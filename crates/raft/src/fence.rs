//! The restart fence: a group that has just been started neither votes nor campaigns for a lease.
//!
//! A follower that acknowledged a heartbeat promised not to help elect another leader for a lease;
//! the leader serves reads on that promise. openraft forgets the promise when the group is
//! restarted (spike §1, reproduced; upstream has a TODO), which allows a stale read. So a replica
//! that had any state before drops vote requests and starts no election until a full lease has
//! passed since its last possible promise: since the process started, or since the group was last
//! stopped within the process ([`Stops`]). `tests/restart_fence.rs` shows the hole without the
//! fence, and that the fence closes it, for both cases.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use coterie_types::GroupId;
use parking_lot::{Mutex, MutexGuard};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Fence {
    /// `None`: no fence.
    until: Option<Instant>,
}

impl Fence {
    /// Nothing was promised after `since`: the fence lasts for a lease from then on.
    pub(crate) fn since(since: Instant, lease: Duration) -> Self {
        Self {
            until: Some(since + lease),
        }
    }

    /// No fence: the group is new here and cannot have promised anything, or the fence is switched
    /// off.
    pub(crate) fn none() -> Self {
        Self { until: None }
    }

    /// How long the fence still lasts; zero when it is over.
    pub(crate) fn remaining(&self) -> Duration {
        self.until.map_or(Duration::ZERO, |until| {
            until.saturating_duration_since(Instant::now())
        })
    }

    pub(crate) fn is_closed(&self) -> bool {
        !self.remaining().is_zero()
    }
}

/// When each group of this process was last stopped. Stops older than a lease are removed, so the
/// map is bounded by the groups stopped within the last lease.
#[derive(Debug, Default)]
pub(crate) struct Stops(Mutex<BTreeMap<GroupId, Instant>>);

impl Stops {
    /// Records that a group has just stopped and promises nothing from now on.
    pub(crate) fn add(&self, group: GroupId, lease: Duration) {
        let mut stops = self.lock();
        stops.retain(|_, at| at.elapsed() < lease);
        stops.insert(group, Instant::now());
    }

    /// When a group was stopped, if that was within the last lease.
    pub(crate) fn last(&self, group: GroupId) -> Option<Instant> {
        self.lock().get(&group).copied()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<GroupId, Instant>> {
        self.0.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_stops_within_a_lease_are_kept() {
        let (stops, lease) = (Stops::default(), Duration::from_secs(60));
        stops.add(GroupId(1), lease);
        let fence = stops.last(GroupId(1)).map(|at| Fence::since(at, lease));
        assert!(fence.is_some_and(|fence| fence.is_closed()));
        assert!(stops.last(GroupId(2)).is_none());
        stops.add(GroupId(2), Duration::ZERO);
        assert!(stops.last(GroupId(1)).is_none() && stops.last(GroupId(2)).is_some());
    }
}
