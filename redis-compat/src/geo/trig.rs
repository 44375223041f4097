//! Sines and their inverse, the same bits on every machine.
//!
//! The functions of the C library differ between its versions, and between processors that fuse
//! multiplications and those that do not. Distances decide which members a command stores, so
//! replicas must agree on them. Here a number is the sum of two doubles, and every step is an
//! operation that IEEE 754 rounds in a single way. Results have some 70 bits before the last step
//! rounds them, so nearly all are the double nearest to the true value. So are nearly all of the C
//! library under a Redis server: of two such results one in some 700 differs, by the last bit.

use std::f64::consts::FRAC_2_PI;
use std::ops::{Add, Mul, Neg, Sub};

/// `high + low`, where `low` is at most half a unit in the last place of `high`.
#[derive(Debug, Clone, Copy)]
struct Double2 {
    high: f64,
    low: f64,
}

/// Half of pi in three doubles.
const HALF_PI: [f64; 3] = [
    std::f64::consts::FRAC_PI_2,
    6.123233995736766e-17,
    -1.4973849048591698e-33,
];

/// The coefficients of the sine behind the first: of x^3, x^5 and so on.
const SINE: [Double2; 3] = [
    pair(-0.16666666666666666, -9.25185853854297e-18),
    pair(0.008333333333333333, 1.1564823173178714e-19),
    pair(-0.0001984126984126984, -1.7209558293420705e-22),
];
/// Those that follow. Their terms are so small that a double is enough.
const SINE_REST: [f64; 8] = [
    2.7557319223985893e-06,
    -2.505210838544172e-08,
    1.6059043836821613e-10,
    -7.647163731819816e-13,
    2.8114572543455206e-15,
    -8.22063524662433e-18,
    1.9572941063391263e-20,
    -3.868170170630684e-23,
];
/// The coefficients of the cosine behind the first: of x^2, x^4 and so on.
const COSINE: [Double2; 4] = [
    pair(-0.5, 0.0),
    pair(0.041666666666666664, 2.3129646346357427e-18),
    pair(-0.001388888888888889, 5.300543954373577e-20),
    pair(2.48015873015873e-05, 2.1511947866775882e-23),
];
const COSINE_REST: [f64; 8] = [
    -2.755731922398589e-07,
    2.08767569878681e-09,
    -1.1470745597729725e-11,
    4.779477332387385e-14,
    -1.5619206968586225e-16,
    4.110317623312165e-19,
    -8.896791392450574e-22,
    1.6117375710961184e-24,
];

/// The sine of an angle of a few turns at most.
pub(super) fn sin(x: f64) -> f64 {
    let (quarter, rest) = reduce(x);
    let value = match quarter {
        0 => sine(rest),
        1 => cosine(rest),
        2 => -sine(rest),
        _ => -cosine(rest),
    };
    value.high
}

/// The cosine of an angle of a few turns at most.
pub(super) fn cos(x: f64) -> f64 {
    let (quarter, rest) = reduce(x);
    let value = match quarter {
        0 => cosine(rest),
        1 => -sine(rest),
        2 => -cosine(rest),
        _ => sine(rest),
    };
    value.high
}

/// The angle from 0 to a quarter of a turn that has this sine. No number above 1, as in C.
pub(super) fn asin(x: f64) -> f64 {
    if !(0.0..=1.0).contains(&x) {
        return f64::NAN;
    }
    if x <= 0.5 {
        return arc(pair(x, 0.0)).high;
    }
    // Near 1 the sine hardly tells the angle: half the angle's complement does.
    let rest = (1.0 - x) / 2.0;
    let root = rest.sqrt();
    let low = if root > 0.0 {
        (pair(rest, 0.0) - product(root, root)).high / (2.0 * root)
    } else {
        0.0
    };
    let half = arc(quick_sum(root, low));
    let doubled = pair(2.0 * half.high, 2.0 * half.low);
    (pair(HALF_PI[0], HALF_PI[1]) - doubled).high
}

/// The angle of a sine up to 0.5: an estimate, and a step of Newton's.
fn arc(sine_of: Double2) -> Double2 {
    let estimate = estimate_arc(sine_of.high);
    let angle = pair(estimate, 0.0);
    let missing = sine_of - sine(angle);
    let cosine = (1.0 - sine_of.high * sine_of.high).sqrt();
    quick_sum(estimate, missing.high / cosine)
}

/// The angle of a sine up to 0.5, within a unit or two in the last place. The coefficients are
/// those of the library fdlibm (`e_asin.c`).
fn estimate_arc(x: f64) -> f64 {
    const P: [f64; 6] = [
        3.479331075960212e-05,
        7.915349942898145e-04,
        -4.005_553_450_067_941e-2,
        2.0121253213486293e-01,
        -3.255_658_186_224_009e-1,
        1.6666666666666666e-01,
    ];
    const Q: [f64; 5] = [
        7.703815055590194e-02,
        -6.882839716054533e-01,
        2.0209457602335057,
        -2.403394911734414,
        1.0,
    ];
    let z = x * x;
    let value = |of: &[f64]| {
        of.iter()
            .fold(0.0, |sum, coefficient| sum * z + coefficient)
    };
    x + x * (z * value(&P) / value(&Q))
}

/// The angle less the nearest quarters of a turn, and how many these are, modulo 4.
fn reduce(x: f64) -> (u8, Double2) {
    let quarters = (x * FRAC_2_PI).round();
    if quarters == 0.0 {
        return (0, pair(x, 0.0));
    }
    let [high, middle, low] = HALF_PI;
    let rest = pair(x, 0.0) - product(quarters, high);
    let rest = rest - product(quarters, middle);
    let rest = rest - pair(quarters * low, 0.0);
    ((quarters.rem_euclid(4.0)) as u8, rest)
}

/// The sine of up to an eighth of a turn, by its series.
fn sine(x: Double2) -> Double2 {
    let square = x * x;
    x.plus_less(x * (square * series(&SINE, &SINE_REST, square)))
}

/// The cosine of up to an eighth of a turn, by its series.
fn cosine(x: Double2) -> Double2 {
    let square = x * x;
    pair(1.0, 0.0).plus_less(square * series(&COSINE, &COSINE_REST, square))
}

fn series(first: &[Double2], rest: &[f64], x: Double2) -> Double2 {
    let small = rest
        .iter()
        .rev()
        .fold(0.0, |sum, coefficient| sum * x.high + coefficient);
    let add = |sum: Double2, coefficient: &Double2| coefficient.plus_less(sum * x);
    first.iter().rev().fold(pair(small, 0.0), add)
}

const fn pair(high: f64, low: f64) -> Double2 {
    Double2 { high, low }
}

/// The sum, exactly (Knuth).
fn sum(a: f64, b: f64) -> Double2 {
    let high = a + b;
    let of_b = high - a;
    pair(high, (a - (high - of_b)) + (b - of_b))
}

/// The same, where `a` is not the smaller.
fn quick_sum(a: f64, b: f64) -> Double2 {
    let high = a + b;
    pair(high, b - (high - a))
}

/// The product, exactly (Dekker).
fn product(a: f64, b: f64) -> Double2 {
    let split = |x: f64| {
        let scaled = x * 134_217_729.0;
        let high = scaled - (scaled - x);
        (high, x - high)
    };
    let high = a * b;
    let ((a1, a2), (b1, b2)) = (split(a), split(b));
    pair(high, ((a1 * b1 - high) + a1 * b2 + a2 * b1) + a2 * b2)
}

impl Double2 {
    /// The sum with a number that is smaller.
    fn plus_less(self, other: Self) -> Self {
        let all = quick_sum(self.high, other.high);
        quick_sum(all.high, all.low + (self.low + other.low))
    }
}

impl Add for Double2 {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let (high, low) = (sum(self.high, other.high), sum(self.low, other.low));
        let all = quick_sum(high.high, high.low + low.high);
        quick_sum(all.high, all.low + low.low)
    }
}

impl Sub for Double2 {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Neg for Double2 {
    type Output = Self;

    fn neg(self) -> Self {
        pair(-self.high, -self.low)
    }
}

impl Mul for Double2 {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        let all = product(self.high, other.high);
        let crossed = self.high * other.low + self.low * other.high;
        quick_sum(all.high, all.low + crossed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers from 0 to 1, spread over the digits.
    fn numbers() -> impl Iterator<Item = f64> {
        let mut state = 1_u64;
        std::iter::repeat_with(move || {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        })
    }

    /// How many of the results are not those of the C library, none further away than a unit in
    /// the last place.
    fn differing(
        of: fn(f64) -> f64,
        c: fn(f64) -> f64,
        arguments: impl Iterator<Item = f64>,
    ) -> u32 {
        let mut count = 0;
        for x in arguments {
            let (ours, theirs) = (of(x), c(x));
            let apart = ours.to_bits().abs_diff(theirs.to_bits());
            assert!(apart <= 1, "{x:?}: {ours:?} {theirs:?}");
            count += u32::from(apart == 1);
        }
        count
    }

    #[test]
    fn results_are_nearly_always_those_of_the_c_library() {
        const COUNT: usize = 100_000;
        let angles = || numbers().map(|x| (x - 0.5) * 8.0).take(COUNT);
        let small = || numbers().map(|x| x * x * x * 1e-3).take(COUNT);
        let count = [
            differing(sin, f64::sin, angles()),
            differing(cos, f64::cos, angles()),
            differing(asin, f64::asin, numbers().take(COUNT)),
            differing(sin, f64::sin, small()),
            differing(asin, f64::asin, small()),
        ];
        assert!(count.iter().all(|count| *count <= 300), "{count:?}");
    }

    #[test]
    fn results_at_the_edges_are_exact() {
        assert_eq!(sin(0.0), 0.0);
        assert_eq!(cos(0.0), 1.0);
        assert_eq!(sin(std::f64::consts::PI), 1.2246467991473532e-16);
        assert_eq!(cos(std::f64::consts::FRAC_PI_2), 6.123233995736766e-17);
        assert_eq!(asin(0.0), 0.0);
        assert_eq!(asin(1.0), std::f64::consts::FRAC_PI_2);
        assert_eq!(asin(1e-300), 1e-300);
        assert!(asin(1.0 + f64::EPSILON).is_nan());
    }
}
