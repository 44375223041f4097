//! Pauses between attempts: short, growing, and spread so that many clients of a group that lost
//! its leader do not come back in step.

use std::time::Duration;

use super::window::random;

const FIRST: Duration = Duration::from_millis(4);
const LONGEST: Duration = Duration::from_millis(120);

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
        if self.chance == 0 {
            self.chance = random();
        }
        // xorshift: seeded once per frame that has to wait at all.
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        let bound = self.next;
        self.next = (self.next * 2).min(LONGEST);
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
    }
}
