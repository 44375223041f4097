//! The x87 extended format, in software: `long double` where Redis runs.
//!
//! `INCRBYFLOAT` computes in it, and its replies are its rounding. A hardware float would differ in
//! the last digits, and could differ between replicas; so parsing, sum and printing are done here
//! in integers, each rounded once, to the nearest, ties to even.
//!
//! A number is `mantissa * 2^exponent` with 64 bits of mantissa; the exponent runs from that of the
//! smallest denormal to that of the largest number. Big integers serve for the long cases
//! ([`crate::big`]).

mod parse;

use bytes::Bytes;

use crate::big::Big;

/// The exponent of the smallest denormal, 2^-16445.
const EXPONENT_MIN: i32 = -16445;
/// The exponent of the largest numbers, which have 64 bits above it.
const EXPONENT_MAX: i32 = 16320;

/// A number, infinity, or no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Float80 {
    /// `mantissa * 2^exponent`, below zero if `negative`.
    Finite {
        negative: bool,
        mantissa: u64,
        exponent: i32,
    },
    /// Below zero if true.
    Infinite(bool),
    /// The sum of both infinities.
    NotANumber,
}

impl Float80 {
    /// Zero.
    pub(crate) const ZERO: Self = Self::Finite {
        negative: false,
        mantissa: 0,
        exponent: 0,
    };

    /// The greatest finite number.
    pub(crate) const MAX: Self = Self::Finite {
        negative: false,
        mantissa: u64::MAX,
        exponent: EXPONENT_MAX,
    };

    pub(crate) fn is_finite(self) -> bool {
        matches!(self, Self::Finite { .. })
    }

    /// The number with the other sign.
    pub(crate) fn negated(self) -> Self {
        match self {
            Self::Finite {
                negative,
                mantissa,
                exponent,
            } => Self::Finite {
                negative: !negative,
                mantissa,
                exponent,
            },
            Self::Infinite(negative) => Self::Infinite(!negative),
            Self::NotANumber => self,
        }
    }

    /// Whether it is less: the difference of two numbers that differ is never rounded to zero.
    pub(crate) fn is_below(self, other: Self) -> bool {
        match self.add(other.negated()) {
            Self::Finite {
                negative, mantissa, ..
            } => negative && mantissa > 0,
            Self::Infinite(negative) => negative,
            Self::NotANumber => false,
        }
    }

    /// The sum, rounded once.
    pub(crate) fn add(self, other: Self) -> Self {
        match (self, other) {
            (
                Self::Finite {
                    negative: n1,
                    mantissa: m1,
                    exponent: e1,
                },
                Self::Finite {
                    negative: n2,
                    mantissa: m2,
                    exponent: e2,
                },
            ) => {
                if m1 == 0 || m2 == 0 {
                    return if m1 == 0 && m2 == 0 {
                        Self::ZERO
                    } else if m1 == 0 {
                        other
                    } else {
                        self
                    };
                }
                if (e1, m1) < (e2, m2) {
                    sum((n2, m2, e2), (n1, m1, e1))
                } else {
                    sum((n1, m1, e1), (n2, m2, e2))
                }
            }
            (Self::Infinite(a), Self::Infinite(b)) if a != b => Self::NotANumber,
            (Self::NotANumber, _) | (_, Self::NotANumber) => Self::NotANumber,
            (Self::Infinite(sign), _) | (_, Self::Infinite(sign)) => Self::Infinite(sign),
        }
    }

    /// The text Redis stores: 17 digits after the point, less the zeros at the end. `None` if it is
    /// no finite number.
    pub(crate) fn to_decimal(self) -> Option<Bytes> {
        let Self::Finite {
            negative,
            mantissa,
            exponent,
        } = self
        else {
            return None;
        };
        let (whole, fraction) = match u32::try_from(exponent) {
            Ok(shift) => (
                Big::from(u128::from(mantissa))
                    .shl(shift as usize)
                    .to_string(),
                0,
            ),
            Err(_) => decimals(mantissa, exponent.unsigned_abs()),
        };
        let mut text = whole;
        if fraction > 0 {
            text.push_str(format!(".{fraction:017}").trim_end_matches('0'));
        }
        if negative && text != "0" {
            text.insert(0, '-');
        }
        Some(Bytes::from(text))
    }
}

/// `mantissa / 2^shift` as its whole part and 17 decimals.
fn decimals(mantissa: u64, shift: u32) -> (String, u128) {
    const SCALE: u128 = 100_000_000_000_000_000;
    // Below 2^-64: less than half of the last decimal.
    if shift >= 128 {
        return ("0".to_owned(), 0);
    }
    let scaled = u128::from(mantissa) * SCALE;
    let floor = scaled >> shift;
    let rest = scaled & ((1 << shift) - 1);
    let half = 1u128 << (shift - 1);
    let up = rest > half || (rest == half && floor & 1 == 1);
    let rounded = floor + u128::from(up);
    ((rounded / SCALE).to_string(), rounded % SCALE)
}

/// The sum of two that are not zero; the first has the larger or the same exponent.
fn sum((n1, m1, e1): (bool, u64, i32), (n2, m2, e2): (bool, u64, i32)) -> Float80 {
    // 62 bits below the larger mantissa, and a bit for the carry above it.
    const GUARD: u32 = 62;
    let distance = (e1 - e2).unsigned_abs();
    let large = u128::from(m1) << GUARD;
    let small = u128::from(m2) << GUARD;
    let (small, lost) = match distance {
        0..=127 => (small >> distance, small & ((1u128 << distance) - 1) != 0),
        _ => (0, true),
    };
    let exponent = e1 - GUARD as i32;
    if n1 == n2 {
        return round(n1, large + small, exponent, lost);
    }
    match large.checked_sub(small + u128::from(lost)) {
        Some(0) if !lost => Float80::ZERO,
        Some(difference) => round(n1, difference, exponent, lost),
        None => round(n2, small - large, exponent, lost),
    }
}

/// `mantissa * 2^exponent`, and a little more if `more`, rounded to the format.
fn round(negative: bool, mantissa: u128, exponent: i32, more: bool) -> Float80 {
    let bits = 128 - mantissa.leading_zeros() as i32;
    let target = (exponent + bits - 64).max(EXPONENT_MIN);
    let drop = target - exponent;
    let (mut kept, mut target) = (mantissa, target);
    if drop > 127 {
        kept = 0;
    } else if drop > 0 {
        let rest = mantissa & ((1 << drop) - 1);
        let half = 1u128 << (drop - 1);
        kept = mantissa >> drop;
        if rest > half || (rest == half && (more || kept & 1 == 1)) {
            kept += 1;
        }
    } else {
        kept <<= -drop;
    }
    if kept >> 64 != 0 {
        (kept, target) = (kept >> 1, target + 1);
    }
    if target > EXPONENT_MAX {
        return Float80::Infinite(negative);
    }
    Float80::Finite {
        negative,
        mantissa: kept as u64,
        exponent: target,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(a: &str, b: &str) -> Option<String> {
        let sum = Float80::parse(a.as_bytes())?.add(Float80::parse(b.as_bytes())?);
        Some(String::from_utf8(sum.to_decimal()?.to_vec()).unwrap())
    }

    #[test]
    fn sums_are_those_of_long_double() {
        // Recorded from redis-server 7.0.15 on x86-64.
        for (a, b, sum) in [
            ("10.50", "0.1", "10.6"),
            ("5.0e3", "2.0e2", "5200"),
            ("0.1", "0.2", "0.3"),
            ("3", "-3", "0"),
            ("-1e-30", "0", "0"),
            ("1e17", "0.5", "100000000000000000.5"),
            ("9223372036854775807", "1", "9223372036854775808"),
            ("18446744073709551615", "1", "18446744073709551616"),
            ("0x10", ".5", "16.5"),
            ("1.", "+2", "3"),
            ("1e20", "1", "100000000000000000000"),
            ("123456789.123456789", "0", "123456789.12345678899873747"),
            ("0x1p-3", "1", "1.125"),
            ("1", "3.6e-4951", "1"),
        ] {
            assert_eq!(add(a, b).as_deref(), Some(sum), "{a} + {b}");
        }
    }

    #[test]
    fn numbers_are_ordered() {
        let all = [
            "-inf",
            "-1e4932",
            "-1",
            "-3.6e-4951",
            "0",
            "1e-4940",
            "1",
            "1.0000001",
            "inf",
        ];
        let all = all.map(|text| Float80::parse(text.as_bytes()).unwrap());
        for (at, a) in all.iter().enumerate() {
            for (other, b) in all.iter().enumerate() {
                assert_eq!(a.is_below(*b), at < other, "{a:?} {b:?}");
            }
        }
        assert!(Float80::MAX.is_below(Float80::MAX.add(Float80::MAX)));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in [
            "", "-", ".", "1e", "0x", "nan", " 1", "1 ", "1e5000", "1e-5000", "1x", "--1",
        ] {
            assert_eq!(Float80::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(add("inf", "1"), None);
        assert_eq!(add("inf", "-inf"), None);
    }

    #[test]
    fn the_edges_of_the_format_round_as_they_should() {
        let largest = Float80::parse(b"1.18973149535723176502e4932").unwrap();
        let expected = Float80::Finite {
            negative: false,
            mantissa: u64::MAX,
            exponent: EXPONENT_MAX,
        };
        assert_eq!(largest, expected);
        assert_eq!(largest.add(largest), Float80::Infinite(false));
        let smallest = Float80::parse(b"3.6e-4951").unwrap();
        let expected = Float80::Finite {
            negative: false,
            mantissa: 1,
            exponent: EXPONENT_MIN,
        };
        assert_eq!(smallest, expected);
        assert_eq!(Float80::parse(b"1e-4951"), None, "rounds to zero");
    }
}
