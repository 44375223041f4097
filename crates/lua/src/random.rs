//! Redis' generator of random numbers: the 48-bit linear congruence of `lrand48`, so that a script
//! with a seed sees the same numbers on every machine.

use mlua::{Lua, MultiValue, Value};

use crate::bridge::Bridge;
use crate::{arguments, raise};

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

/// Lua's `math.random` and `math.randomseed` over Redis' generator.
pub(crate) fn functions(lua: &Lua, bridge: &Bridge) -> mlua::Result<(Value, Value)> {
    let here = bridge.clone();
    let random = lua.create_function(move |lua, args: MultiValue| {
        if !here.runs() {
            let text = "math.random can only be called inside a script invocation";
            return Err(raise::error(lua, text));
        }
        let most = Random::MAX;
        let fraction = here.random(|random| f64::from(random.next() % most) / f64::from(most));
        match args.len() {
            0 => Ok(fraction),
            1 => {
                let high = arguments::int(lua, &args, 1)?;
                if high < 1 {
                    return Err(raise::bad_argument(lua, 1, "interval is empty"));
                }
                Ok((fraction * f64::from(high)).floor() + 1.0)
            }
            2 => {
                let low = arguments::int(lua, &args, 1)?;
                let high = arguments::int(lua, &args, 2)?;
                if low > high {
                    return Err(raise::bad_argument(lua, 2, "interval is empty"));
                }
                // C computes the width in 32 bits.
                let width = high.wrapping_sub(low).wrapping_add(1);
                Ok((fraction * f64::from(width)).floor() + f64::from(low))
            }
            _ => Err(raise::error(lua, "wrong number of arguments")),
        }
    })?;
    let here = bridge.clone();
    let seed = lua.create_function(move |lua, args: MultiValue| {
        if !here.runs() {
            let text = "math.randomseed can only be called inside a script invocation";
            return Err(raise::error(lua, text));
        }
        let seed = arguments::int(lua, &args, 1)?;
        here.random(|random| random.seed(seed));
        Ok(())
    })?;
    Ok((Value::Function(random), Value::Function(seed)))
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
