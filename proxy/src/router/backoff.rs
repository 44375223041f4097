//! Pauses between attempts: short, growing, and randomized, so that clients of a group that lost
//! its leader do not retry in step. Where the wait is known to end soon, as when keys are moving,
//! pauses stay short, because they add to the client's wait.

use std::time::Duration;

use super::window::random;

const FIRST: Duration = Duration::from_millis(4);
const LONGEST: Duration = Duration::from_millis(120);
/// Longest pause while keys are moving: well below the duration of a move.
const LONGEST_BRIEF: Duration = Duration::from_millis(8);

/// The pauses between the attempts to send a frame.
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

    /// The next pause: between half and all of a bound that doubles each time.
    pub(crate) fn pause(&mut self) -> Duration {
        let bound = self.next;
        self.next = (bound * 2).min(LONGEST);
        self.about(bound)
    }

    /// The next pause of a wait that ends soon: its bound doubles at most once.
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
