//! Pauses between attempts: short, growing, and spread so that many clients of a group that lost
//! its leader do not come back in step. Where the end of the wait is known to be near, as when keys
//! are moving, they stay short: a pause adds to what the client waits.

use std::time::Duration;

use super::window::random;

const FIRST: Duration = Duration::from_millis(4);
const LONGEST: Duration = Duration::from_millis(120);
/// While keys are moving: well below what a move takes.
const LONGEST_BRIEF: Duration = Duration::from_millis(8);

/// The pauses of one frame's attempts.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    chance: u64,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Self {
            next: FIRST,
            chance: 0,
        }
    }

    /// The next pause: between half and all of a bound that doubles.
    pub(crate) fn pause(&mut self) -> Duration {
        let bound = self.next;
        self.next = (bound * 2).min(LONGEST);
        self.about(bound)
    }

    /// The next pause for what takes a moment only: the bound doubles once at most.
    pub(crate) fn brief_pause(&mut self) -> Duration {
        let bound = self.next.min(LONGEST_BRIEF);
        self.next = self.next.max(LONGEST_BRIEF);
        self.about(bound)
    }

    fn about(&mut self, bound: Duration) -> Duration {
        if self.chance == 0 {
            self.chance = random();
        }
        // xorshift: seeded once per frame that has to wait at all.
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        let half = bound / 2;
        half + Duration::from_micros(self.chance % (half.as_micros() as u64 + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound() {
        let mut backoff = Backoff::new();
        let pauses: Vec<_> = (0..20).map(|_| backoff.pause()).collect();
        assert!(pauses[0] <= FIRST && pauses[0] >= FIRST / 2);
        assert!(pauses[19] <= LONGEST && pauses[19] >= LONGEST / 2);
        assert!(backoff.brief_pause() <= LONGEST_BRIEF);
        let mut backoff = Backoff::new();
        assert!(backoff.brief_pause() <= FIRST);
        for _ in 0..20 {
            let pause = backoff.brief_pause();
            assert!(pause <= LONGEST_BRIEF && pause >= LONGEST_BRIEF / 2);
        }
    }
}
