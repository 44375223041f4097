//! The restart fence: a process that has just started neither votes nor campaigns for one lease.
//!
//! A follower that acknowledged a heartbeat promised not to help elect another leader for one
//! lease; the leader serves reads on that promise. openraft forgets the promise on restart (spike
//! §1, reproduced; upstream has a TODO), and a stale read follows. So for one full lease after the
//! start, vote requests are dropped and no election is started, for every group that had any state
//! before. `tests/restart_fence.rs` shows the hole without the fence, and that it is closed.

use std::time::{Duration, Instant};

#[derive(Debug, Clone, Copy)]
pub(crate) struct Fence {
    /// `None`: no fence.
    until: Option<Instant>,
}

impl Fence {
    /// From now on for one lease; the clock is monotonic.
    pub(crate) fn start(enabled: bool, lease: Duration) -> Self {
        Self {
            until: enabled.then(|| Instant::now() + lease),
        }
    }

    /// No promise can have been made before: the group is new here.
    pub(crate) fn none() -> Self {
        Self { until: None }
    }

    /// How long it still lasts; zero when it is over.
    pub(crate) fn remaining(&self) -> Duration {
        self.until.map_or(Duration::ZERO, |until| {
            until.saturating_duration_since(Instant::now())
        })
    }

    pub(crate) fn is_closed(&self) -> bool {
        !self.remaining().is_zero()
    }
}
