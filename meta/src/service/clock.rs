//! The lease's clock, as a leader reads it before it proposes.
//!
//! The time in the state only rises with requests for the lease. It may be ahead of this machine's
//! clock, if another leader's clock was. So the time goes on from there by the monotonic clock: a
//! lease expires even if the wall clock is wrong.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use coterie_types::UnixMillis;

/// The time of the state, and when this member first saw it.
#[derive(Debug, Default)]
pub(super) struct LeaseClock {
    seen: Option<(UnixMillis, Instant)>,
}

impl LeaseClock {
    /// The current time, given the time of the state.
    pub(super) fn now(&mut self, state: UnixMillis) -> UnixMillis {
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| {
                u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
            });
        self.at(state, UnixMillis(wall), Instant::now())
    }

    fn at(&mut self, state: UnixMillis, wall: UnixMillis, monotonic: Instant) -> UnixMillis {
        let (base, since) = match self.seen {
            Some((base, since)) if base == state => (base, since),
            _ => (state, monotonic),
        };
        self.seen = Some((base, since));
        let elapsed = monotonic.saturating_duration_since(since).as_millis();
        wall.max(base.plus(u64::try_from(elapsed).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn time_goes_on_though_the_wall_clock_is_behind() {
        let mut clock = LeaseClock::default();
        let start = Instant::now();
        let at = |clock: &mut LeaseClock, state, wall, seconds| {
            let monotonic = start + Duration::from_secs(seconds);
            clock.at(UnixMillis(state), UnixMillis(wall), monotonic)
        };
        assert_eq!(at(&mut clock, 9000, 5000, 0), UnixMillis(9000));
        assert_eq!(at(&mut clock, 9000, 5000, 2), UnixMillis(11_000));
        assert_eq!(at(&mut clock, 11_000, 5000, 3), UnixMillis(11_000));
        assert_eq!(at(&mut clock, 11_000, 5000, 4), UnixMillis(12_000));
        assert_eq!(at(&mut clock, 11_000, 50_000, 5), UnixMillis(50_000));
    }
}
