//! The group clock of a leader: never goes back, not even across leaders, and trusts no single wall
//! clock.
//!
//! Every entry carries the clock, so the state's clock is that of the last entry applied. Only the
//! clock of applied entries decides expiry: when a read meets a record that is expired by the
//! leader's clock but not yet by the applied clock, a tick is committed first (decision record
//! `2026-11-23-expiry-by-committed-clock`). So an expired key never comes back after a failover.
//!
//! Between entries the clock follows the monotonic clock of the leader. It is steered towards the
//! wall clocks of a majority of the voters ([`Agreed`]): by a hundredth of the elapsed time, and at
//! once when a majority is ahead by more than a second. A single wrong wall clock, even the
//! leader's, changes nothing (decision record `2026-11-30-a-wall-clock-counts-with-a-majority`).
//!
//! Pure: all clocks are arguments. Times are since the Unix epoch, monotonic times since any fixed
//! moment of this process.

use std::time::Duration;

use coterie_types::UnixMillis;

/// The clock gains or loses at most a part in this many of the elapsed time, while a majority is
/// near: 1%. That is twenty times the drift or slew of synchronized clocks.
const SLEW: u32 = 100;

/// The clock jumps at once to a majority that is further ahead than this.
const JUMP: Duration = Duration::from_secs(1);

/// The agreement of a majority's wall clocks: by a majority of the clocks it is no earlier than
/// `earliest`, and by a majority no later than `latest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreed {
    earliest: Duration,
    latest: Duration,
}

impl Agreed {
    /// From the clocks of the voters, per configuration (two during a change), `None` for unknown
    /// clocks. `None` if less than a majority is known.
    ///
    /// If all clocks of three voters are known, both bounds are the median.
    #[must_use]
    pub fn of(configurations: &[Vec<Option<Duration>>]) -> Option<Self> {
        let mut agreed: Option<Self> = None;
        for clocks in configurations {
            let majority = clocks.len() / 2 + 1;
            let mut known: Vec<Duration> = clocks.iter().flatten().copied().collect();
            known.sort_unstable();
            let latest = *known.get(majority - 1)?;
            let earliest = known[known.len() - majority];
            agreed = Some(match agreed {
                // Both majorities must agree.
                Some(other) => Self {
                    earliest: earliest.min(other.earliest),
                    latest: latest.max(other.latest),
                },
                None => Self { earliest, latest },
            });
        }
        agreed
    }

    /// How far a clock is ahead of, or behind, the agreed bounds; zero between them.
    #[must_use]
    pub fn distance(&self, clock: Duration) -> Duration {
        let behind = self.earliest.saturating_sub(clock);
        behind.max(clock.saturating_sub(self.latest))
    }

    fn after(self, elapsed: Duration) -> Self {
        Self {
            earliest: self.earliest.saturating_add(elapsed),
            latest: self.latest.saturating_add(elapsed),
        }
    }
}

/// The clock of a leader; see the module's head.
#[derive(Debug, Clone, Copy, Default)]
pub struct GroupClock {
    /// The clock of an entry, or the last clock handed out; zero before the first.
    last: Duration,
    /// The monotonic time of `last`.
    seen_at: Duration,
    /// The latest clock handed out.
    handed: Duration,
    /// The last agreement, and its monotonic time.
    agreed: Option<(Agreed, Duration)>,
}

impl GroupClock {
    /// Takes in the clock of an applied entry, at monotonic time `now`.
    pub fn observe(&mut self, clock: UnixMillis, now: Duration) {
        let clock = Duration::from_millis(clock.0);
        // The proposer has handed this clock out itself, and possibly a later clock.
        if clock > self.last {
            (self.last, self.seen_at) = (clock, now);
        }
    }

    /// Takes in the agreement of a majority's wall clocks at monotonic time `now`; `None` if no
    /// majority is known.
    pub fn agree(&mut self, agreed: Option<Agreed>, now: Duration) {
        self.agreed = agreed.map(|agreed| (agreed, now));
    }

    /// The time for the next entry or read, at monotonic time `now`. This node's own `wall` clock
    /// counts only while the group has no clock yet.
    pub fn read(&mut self, wall: Duration, now: Duration) -> UnixMillis {
        let agreed = self.agreed;
        let agreed = agreed.map(|(agreed, at)| agreed.after(now.saturating_sub(at)));
        let elapsed = now.saturating_sub(self.seen_at);
        let free = self.last.saturating_add(elapsed);
        let clock = match agreed {
            None if self.last.is_zero() => wall,
            None => free,
            Some(agreed) if self.last.is_zero() => wall.clamp(agreed.earliest, agreed.latest),
            Some(agreed) => steered(free, elapsed / SLEW, agreed),
        };
        self.handed = self.handed.max(clock);
        (self.last, self.seen_at) = (self.handed, now);
        UnixMillis(u64::try_from(self.handed.as_millis()).unwrap_or(u64::MAX))
    }
}

/// The free-running clock, moved by at most `slack` towards the agreed bounds, or at once where
/// these are far ahead.
fn steered(free: Duration, slack: Duration, agreed: Agreed) -> Duration {
    if free.saturating_add(JUMP) < agreed.earliest {
        agreed.earliest
    } else if free < agreed.earliest {
        free.saturating_add(slack).min(agreed.earliest)
    } else if free > agreed.latest {
        free.saturating_sub(slack).max(agreed.latest)
    } else {
        free
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn agreed(clocks: &[u64]) -> Option<Agreed> {
        Agreed::of(&[clocks.iter().map(|clock| Some(secs(*clock))).collect()])
    }

    fn bounds(clocks: &[Option<u64>]) -> Option<(u64, u64)> {
        let agreed = Agreed::of(&[clocks.iter().map(|clock| clock.map(secs)).collect()])?;
        Some((agreed.earliest.as_secs(), agreed.latest.as_secs()))
    }

    /// A clock that follows three right clocks from second 1000 on, at monotonic second 0.
    fn started() -> GroupClock {
        let mut clock = GroupClock::default();
        clock.agree(agreed(&[1000; 3]), secs(0));
        assert_eq!(clock.read(secs(1000), secs(0)), UnixMillis(1_000_000));
        clock
    }

    #[test]
    fn a_majority_bounds_the_time_and_a_minority_does_not() {
        assert_eq!(bounds(&[Some(5), Some(70), Some(6)]), Some((6, 6)));
        assert_eq!(bounds(&[Some(5), None, Some(70)]), Some((5, 70)));
        assert_eq!(bounds(&[Some(5), None, None]), None);
        assert_eq!(bounds(&[Some(5), Some(70)]), Some((5, 70)));
        assert_eq!(bounds(&[Some(5)]), Some((5, 5)));
        let four = [Some(1), Some(2), Some(3), Some(4)];
        assert_eq!(bounds(&four), Some((2, 3)));
        assert_eq!(bounds(&[]), None);
    }

    #[test]
    fn while_voters_change_both_majorities_must_agree() {
        let config = |clocks: [u64; 3]| clocks.map(|clock| Some(secs(clock))).to_vec();
        let agreed = Agreed::of(&[config([5, 5, 5]), config([5, 70, 70])]);
        let (earliest, latest) = (secs(5), secs(70));
        assert_eq!(agreed, Some(Agreed { earliest, latest }));
    }

    #[test]
    fn one_clock_that_jumps_changes_nothing_and_a_majority_is_followed() {
        let mut clock = started();
        // The leader's own clock is a minute ahead, then behind.
        for (now, own) in [(10, 1070), (20, 960)] {
            clock.agree(agreed(&[own, 1000 + now, 1000 + now]), secs(now));
            let read = clock.read(secs(own), secs(now));
            assert_eq!(read, UnixMillis((1000 + now) * 1000));
        }
        clock.agree(agreed(&[1090, 1090, 1030]), secs(30));
        assert_eq!(clock.read(secs(1030), secs(30)), UnixMillis(1_090_000));
        // The majority goes back: the clock continues, but slower.
        clock.agree(agreed(&[1130, 1130, 1130]), secs(130));
        assert_eq!(clock.read(secs(1130), secs(130)), UnixMillis(1_189_000));
    }

    #[test]
    fn a_small_difference_is_worked_off_slowly() {
        let mut clock = started();
        clock.agree(agreed(&[1010, 1011, 1011]), secs(10));
        assert_eq!(clock.read(secs(1010), secs(10)), UnixMillis(1_010_100));
        assert_eq!(clock.read(secs(1010), secs(60)), UnixMillis(1_060_600));
        assert_eq!(clock.read(secs(1010), secs(160)), UnixMillis(1_161_000));
    }

    #[test]
    fn many_short_steps_lose_nothing() {
        let mut clock = started();
        clock.agree(None, secs(0));
        let mut read = UnixMillis(0);
        for step in 1..=10_000 {
            read = clock.read(secs(0), Duration::from_micros(step * 100));
        }
        assert_eq!(read, UnixMillis(1_001_000));
    }

    #[test]
    fn a_new_leader_goes_on_from_the_last_entry() {
        let mut clock = GroupClock::default();
        // The old leader's wall clock was five seconds ahead.
        clock.observe(UnixMillis(105_000), secs(1));
        assert_eq!(clock.read(secs(100), secs(3)), UnixMillis(107_000));
    }

    #[test]
    fn a_leader_that_sees_its_own_entries_applied_goes_on_from_what_it_handed_out() {
        let mut clock = started();
        let first = clock.read(secs(0), secs(1));
        let second = clock.read(secs(0), secs(2));
        clock.observe(first, secs(3));
        clock.observe(second, secs(4));
        assert_eq!(clock.read(secs(0), secs(5)), UnixMillis(1_005_000));
    }

    #[test]
    fn a_group_without_a_clock_begins_with_the_wall_clock_within_what_is_agreed() {
        let mut clock = GroupClock::default();
        assert_eq!(clock.read(secs(100), secs(5)), UnixMillis(100_000));
        let mut clock = GroupClock::default();
        clock.agree(agreed(&[100, 100, 900]), secs(5));
        assert_eq!(clock.read(secs(900), secs(5)), UnixMillis(100_000));
    }

    /// A step: how long it takes, how far each wall clock jumps, and the clock of an entry that
    /// another leader made, before the right time.
    type Step = (u64, [i64; 3], Option<u64>);

    fn step() -> impl Strategy<Value = Step> {
        let jumps = prop_oneof![
            3 => Just([0, 0, 0]),
            2 => (-90_000..90_000_i64, 0..3_usize).prop_map(|(by, who)| {
                let mut jumps = [0; 3];
                jumps[who] = by;
                jumps
            }),
        ];
        (1..5000_u64, jumps, proptest::option::of(0..5000_u64))
    }

    proptest! {
        /// The clock never goes back, and is never further ahead of the median than before, less
        /// its slew meanwhile, whatever a single wall clock does.
        #[test]
        fn it_never_goes_back_and_never_runs_ahead_of_the_median(
            steps in proptest::collection::vec(step(), 1..60)
        ) {
            let base = 1_000_000_000_i64;
            let (mut clock, mut now, mut before) = (GroupClock::default(), 0_i64, UnixMillis(0));
            let mut offsets = [0_i64; 3];
            let mut ahead_max = 0_i64;
            for (millis, jumps, entry) in steps {
                now += i64::try_from(millis).unwrap_or(0);
                let median = |offsets: &[i64; 3]| {
                    let mut sorted = *offsets;
                    sorted.sort_unstable();
                    sorted[1]
                };
                let was = median(&offsets);
                for (offset, jump) in offsets.iter_mut().zip(jumps) {
                    *offset += jump;
                }
                let at = |millis: i64| Duration::from_millis(u64::try_from(millis).unwrap_or(0));
                let walls = offsets.map(|offset| Some(at(base + now + offset))).to_vec();
                clock.agree(Agreed::of(&[walls]), at(now));
                let target = base + now + median(&offsets);
                if let Some(behind) = entry {
                    let entry = (target - i64::try_from(behind).unwrap_or(0)).max(0);
                    clock.observe(UnixMillis(u64::try_from(entry).unwrap_or(0)), at(now));
                }
                let read = clock.read(at(base + now + offsets[0]), at(now));
                prop_assert!(read >= before);
                before = read;
                let ahead = i64::try_from(read.0).unwrap_or(0) - target;
                // The clock may be ahead only by the distance that the median itself went back.
                ahead_max = (ahead_max + (was - median(&offsets))).max(0);
                prop_assert!(ahead <= ahead_max + 1, "{ahead} ms ahead, {ahead_max} allowed");
                prop_assert!(ahead >= -1000 - 1, "{ahead} ms");
            }
        }
    }
}
