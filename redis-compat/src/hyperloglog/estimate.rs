//! From the registers to the count.
//!
//! Otmar Ertl, "New cardinality estimation algorithms for HyperLogLog sketches", arXiv:1702.01284.
//! The floating-point operations are those of Redis in its order, each rounded as IEEE 754 says, so
//! that every replica and every Redis computes the same count.

use super::layout::{HASH_BITS, REGISTERS};

/// 0.5 / ln 2.
#[expect(clippy::excessive_precision, reason = "as Redis writes it")]
const ALPHA: f64 = 0.721_347_520_444_481_703_680;

/// How many registers have each value. A damaged register may have any value of six bits.
pub(super) type Histogram = [u32; 64];

/// The number of elements that registers of these values stand for.
pub(super) fn count(histogram: &Histogram) -> u64 {
    let registers = REGISTERS as f64;
    let of = |value: u32| f64::from(histogram[value as usize]);
    let mut z = registers * tau((registers - of(HASH_BITS + 1)) / registers);
    for value in (1..=HASH_BITS).rev() {
        z = (z + of(value)) * 0.5;
    }
    z += registers * sigma(of(0) / registers);
    (ALPHA * registers * registers / z).round() as u64
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if before == z {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if before == z {
            return z / 3.0;
        }
    }
}
