//! The group clock of a leader: never goes back, whoever leads.
//!
//! Every entry carries it, so the state's clock is that of the last entry applied. A leader takes
//! the later of its wall clock and the last entry's clock plus what has elapsed since by the
//! monotonic clock. What has expired is decided by the clock of applied entries alone: a read that
//! meets a record which is expired by the leader's clock only has a tick committed first
//! (decision record `2026-11-23-expiry-by-committed-clock`). So an expired key never comes back
//! after a failover, with wall clocks off by seconds in either direction.
//!
//! Pure: both clocks are arguments.

use std::time::Duration;

use coterie_types::UnixMillis;

/// See the module's head.
#[derive(Debug, Clone, Copy, Default)]
pub struct GroupClock {
    /// The latest clock seen in an entry or handed out.
    last: UnixMillis,
    /// The monotonic time of `last`, since any fixed moment of this process.
    seen_at: Duration,
}

impl GroupClock {
    /// Learns the clock of an entry, at monotonic time `now`.
    pub fn observe(&mut self, clock: UnixMillis, now: Duration) {
        if clock > self.current(now) {
            *self = Self {
                last: clock,
                seen_at: now,
            };
        }
    }

    /// The time to give to the next entry or read, from the wall clock and the monotonic time.
    pub fn read(&mut self, wall: UnixMillis, now: Duration) -> UnixMillis {
        let clock = wall.max(self.current(now));
        *self = Self {
            last: clock,
            seen_at: now,
        };
        clock
    }

    fn current(&self, now: Duration) -> UnixMillis {
        let elapsed = now.saturating_sub(self.seen_at).as_millis();
        self.last.plus(u64::try_from(elapsed).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_wall_clock_that_jumps_back_is_not_followed() {
        let mut clock = GroupClock::default();
        assert_eq!(
            clock.read(UnixMillis(100_000), secs(10)),
            UnixMillis(100_000)
        );
        assert_eq!(
            clock.read(UnixMillis(50_000), secs(11)),
            UnixMillis(101_000)
        );
    }

    #[test]
    fn a_new_leader_goes_on_from_the_last_entry() {
        let mut clock = GroupClock::default();
        // The old leader's wall clock was five seconds ahead.
        clock.observe(UnixMillis(105_000), secs(1));
        assert_eq!(
            clock.read(UnixMillis(100_000), secs(3)),
            UnixMillis(107_000)
        );
    }

    #[test]
    fn an_older_entry_does_not_set_it_back() {
        let mut clock = GroupClock::default();
        clock.observe(UnixMillis(10_000), secs(0));
        clock.observe(UnixMillis(9_000), secs(1));
        assert_eq!(clock.read(UnixMillis(0), secs(1)), UnixMillis(11_000));
    }
}
