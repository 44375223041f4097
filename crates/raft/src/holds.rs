//! Holds: log kept for followers while they are sent a snapshot.
//!
//! A follower that has installed a snapshot of index S continues with the log above S. If that log
//! were purged by then, the follower would be sent another snapshot, and under steady writes would
//! never catch up. openraft keeps log for followers that it sends log to, but not for followers
//! that it sends a snapshot to. So `network` registers the transfers under way here, and `purge`
//! keeps the log above the oldest of them. After the transfer `purge` keeps the log above the
//! follower's last entry, until the follower is within the normal retention or makes no progress.
//!
//! A hold is dropped when it keeps too much log: a transfer that never ends must not fill the disk.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use coterie_types::NodeId;
use parking_lot::{Mutex, MutexGuard};

/// How long log is kept for a follower after its transfer has ended, successfully or not, while it
/// takes no log.
const LINGER: Duration = Duration::from_secs(60);

/// The holds of one group, by follower.
#[derive(Default)]
pub(crate) struct Holds(Mutex<ByFollower>);

#[derive(Default)]
struct ByFollower {
    by_target: BTreeMap<NodeId, Hold>,
    transfers: u64,
}

struct Hold {
    /// The transfer of this hold: the late end of an older transfer does not affect it.
    transfer: u64,
    /// The follower has this entry, or will have it: the log above is kept.
    index: u64,
    /// Since when `index` has not moved; `None` while the transfer is under way.
    still_since: Option<Instant>,
}

/// A transfer that is under way until this guard is dropped.
pub(crate) struct Held {
    holds: Arc<Holds>,
    target: NodeId,
    transfer: u64,
}

/// Limits for the holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// The log would be purged up to here without holds.
    pub(crate) purge_to: u64,
    /// A hold below this index keeps too much log and is dropped.
    pub(crate) oldest: u64,
}

impl Holds {
    /// Begins the transfer of a snapshot of `index` to `target`.
    pub(crate) fn begin(self: &Arc<Self>, target: NodeId, index: u64) -> Held {
        let mut state = self.lock();
        state.transfers += 1;
        let transfer = state.transfers;
        let hold = Hold {
            transfer,
            index,
            still_since: None,
        };
        state.by_target.insert(target, hold);
        drop(state);
        Held {
            holds: Arc::clone(self),
            target,
            transfer,
        }
    }

    /// The index up to which the log may be purged; `matched` returns the last entry of a follower.
    pub(crate) fn clamp(
        &self,
        now: Instant,
        bounds: Bounds,
        matched: impl Fn(NodeId) -> Option<u64>,
    ) -> u64 {
        let mut state = self.lock();
        state.by_target.retain(|target, hold| {
            if let Some(since) = hold.still_since {
                if let Some(has) = matched(*target).filter(|has| *has > hold.index) {
                    (hold.index, hold.still_since) = (has, Some(now));
                } else if now.saturating_duration_since(since) >= LINGER {
                    return false;
                }
                if hold.index >= bounds.purge_to {
                    return false;
                }
            }
            if hold.index < bounds.oldest {
                tracing::warn!(
                    peer_id = %target, log_index = hold.index,
                    "log goes that a follower needs after its snapshot: it will need another one"
                );
                return false;
            }
            true
        });
        let kept_above = state.by_target.values().map(|hold| hold.index);
        kept_above.fold(bounds.purge_to, u64::min)
    }

    fn lock(&self) -> MutexGuard<'_, ByFollower> {
        self.0.lock()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.holds.lock();
        let hold = state.by_target.get_mut(&self.target);
        if let Some(hold) = hold.filter(|hold| hold.transfer == self.transfer) {
            hold.still_since = Some(Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: NodeId = NodeId(1);
    const B: NodeId = NodeId(2);

    fn up_to(purge_to: u64) -> Bounds {
        let oldest = 0;
        Bounds { purge_to, oldest }
    }

    #[test]
    fn log_above_the_oldest_transfer_is_kept_as_long_as_it_takes() {
        let holds = Arc::new(Holds::default());
        let now = Instant::now();
        assert_eq!(holds.clamp(now, up_to(500), |_| None), 500);
        let _a = holds.begin(A, 100);
        let _b = holds.begin(B, 200);
        assert_eq!(holds.clamp(now, up_to(50), |_| None), 50);
        assert_eq!(holds.clamp(now, up_to(500), |_| None), 100);
        // The entries that the follower had before are of no use to it.
        let late = now + 100 * LINGER;
        assert_eq!(holds.clamp(late, up_to(500), |_| Some(7)), 100);
    }

    #[test]
    fn then_above_what_the_follower_has_until_it_is_near_or_stands_still() {
        let holds = Arc::new(Holds::default());
        drop(holds.begin(A, 100));
        let now = Instant::now();
        assert_eq!(holds.clamp(now, up_to(500), |_| Some(100)), 100);
        let later = now + LINGER / 2;
        assert_eq!(holds.clamp(later, up_to(500), |_| Some(150)), 150);
        // It moved a moment ago.
        let later = later + LINGER * 3 / 4;
        assert_eq!(holds.clamp(later, up_to(500), |_| Some(150)), 150);
        let too_late = later + LINGER;
        assert_eq!(holds.clamp(too_late, up_to(500), |_| Some(150)), 500);

        drop(holds.begin(A, 600));
        assert_eq!(holds.clamp(now, up_to(700), |_| Some(690)), 690);
        assert_eq!(holds.clamp(now, up_to(700), |_| Some(710)), 700);
        // From now on it is a follower like the others.
        assert_eq!(holds.clamp(now, up_to(800), |_| Some(710)), 800);
    }

    #[test]
    fn the_next_transfer_takes_the_place_of_one_that_failed() {
        let holds = Arc::new(Holds::default());
        let now = Instant::now();
        let first = holds.begin(A, 100);
        let _second = holds.begin(A, 300);
        drop(first);
        let late = now + 100 * LINGER;
        assert_eq!(holds.clamp(late, up_to(500), |_| None), 300);
    }

    #[test]
    fn a_hold_that_keeps_too_much_is_given_up() {
        let holds = Arc::new(Holds::default());
        let now = Instant::now();
        let _a = holds.begin(A, 100);
        let _b = holds.begin(B, 200);
        let bounds = Bounds {
            purge_to: 500,
            oldest: 150,
        };
        assert_eq!(holds.clamp(now, bounds, |_| None), 200);
        assert_eq!(holds.clamp(now, up_to(500), |_| None), 200);
    }
}
