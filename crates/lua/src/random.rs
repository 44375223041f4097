//! Redis' generator of random numbers: the 48-bit linear congruence of `lrand48`, so that a script
//! with a seed sees the same numbers on every machine.

/// The state of the generator. It runs on from script to script, as in Redis 7.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// The most that [`Random::next`] returns (`REDIS_LRAND48_MAX`).
    pub(crate) const MAX: i32 = i32::MAX;

    /// The generator as Redis has it when it starts.
    pub(crate) fn new() -> Self {
        Self(0x1234_abcd_330e)
    }

    /// Starts anew from a seed (`math.randomseed`).
    pub(crate) fn seed(&mut self, seed: i32) {
        self.0 = u64::from(seed as u32) << 16 | 0x330e;
    }

    /// The next number, from 0 to [`Random::MAX`].
    pub(crate) fn next(&mut self) -> i32 {
        let product = self.0.wrapping_mul(0x5_deec_e66d).wrapping_add(0xb);
        self.0 = product & 0xffff_ffff_ffff;
        (self.0 >> 17) as i32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_numbers_of_redis() {
        // Seen in redis-server 7.0.15: `math.randomseed(7) return {math.random(100), ...}`.
        let mut random = Random::new();
        random.seed(7);
        let mut share = |bound: f64| {
            let fraction = f64::from(random.next() % Random::MAX) / f64::from(Random::MAX);
            (fraction * bound).floor() as i64
        };
        assert_eq!([share(100.0) + 1, share(6.0) + 5], [27, 9]);
    }

    #[test]
    fn the_first_numbers_are_those_of_a_new_redis() {
        let mut random = Random::new();
        let fraction = f64::from(random.next() % Random::MAX) / f64::from(Random::MAX);
        assert_eq!((fraction * 1_000_000.0).floor() as i64 + 1, 396_465);
    }
}
