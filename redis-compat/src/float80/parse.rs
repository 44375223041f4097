//! Reading a [`Float80`] as C's `strtold` does, rounded once.

use super::{Float80, round};
use crate::big::Big;

/// Redis refuses longer texts.
const TEXT_MAX: usize = 5 * 1024 - 1;

impl Float80 {
    /// Reads the numbers that `strtold` reads and Redis lets pass: decimal, hexadecimal, or
    /// infinity, without space around it; not `nan`, and nothing that rounds to infinity or to
    /// zero.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > TEXT_MAX {
            return None;
        }
        let (negative, rest) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        if rest.eq_ignore_ascii_case(b"inf") || rest.eq_ignore_ascii_case(b"infinity") {
            return Some(Self::Infinite(negative));
        }
        let (number, is_zero) = match rest {
            [b'0', b'x' | b'X', hex @ ..] => from_digits(negative, Digits::parse(hex, 16)?),
            decimal => from_digits(negative, Digits::parse(decimal, 10)?),
        };
        match number {
            Self::Finite { mantissa: 0, .. } if !is_zero => None,
            Self::Finite { .. } => Some(number),
            _ => None,
        }
    }
}

/// The digits of a text, and the factor they are multiplied with.
struct Digits {
    base: u32,
    digits: Vec<u8>,
    /// A power of ten for base 10, of two for base 16.
    exponent: i64,
}

impl Digits {
    /// Reads `123.456e-7` or, after `0x`, `1a.8p-7`. Digits on either side of the point suffice.
    fn parse(text: &[u8], base: u32) -> Option<Self> {
        let digit = |byte: &u8| (*byte as char).to_digit(base).map(|digit| digit as u8);
        let whole: Vec<u8> = text.iter().map_while(digit).collect();
        let mut rest = &text[whole.len()..];
        let mut digits = whole;
        let mut places = 0;
        if let [b'.', after @ ..] = rest {
            let fraction: Vec<u8> = after.iter().map_while(digit).collect();
            rest = &after[fraction.len()..];
            places = fraction.len() as i64;
            digits.extend(fraction);
        }
        if digits.is_empty() {
            return None;
        }
        let letter = if base == 10 { b'e' } else { b'p' };
        let scale = match rest {
            [] => 0,
            [first, exponent @ ..] if first.eq_ignore_ascii_case(&letter) => {
                parse_exponent(exponent)?
            }
            _ => return None,
        };
        let per_digit = if base == 10 { 1 } else { 4 };
        Some(Self {
            base,
            digits,
            exponent: scale - places * per_digit,
        })
    }
}

/// An exponent; those too far out for any text to make up for are cut.
fn parse_exponent(text: &[u8]) -> Option<i64> {
    const FAR: i64 = 1_000_000;
    let (sign, digits) = match text {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] => (1, digits),
        digits => (1, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits
        .iter()
        .fold(0, |value, d| (value * 10 + i64::from(d - b'0')).min(FAR));
    Some(sign * value)
}

/// The number, and whether it is written as zero.
fn from_digits(negative: bool, digits: Digits) -> (Float80, bool) {
    let Digits {
        base,
        digits,
        exponent,
    } = digits;
    let zeros = digits.iter().take_while(|digit| **digit == 0).count();
    let digits = &digits[zeros..];
    if digits.is_empty() {
        return (
            Float80::Finite {
                negative,
                mantissa: 0,
                exponent: 0,
            },
            true,
        );
    }
    // The power of the base that the first digit stands for, roughly; far beyond what the format
    // holds there is no need to compute.
    let magnitude = digits.len() as i64 * if base == 10 { 1 } else { 4 } + exponent;
    let (far_up, far_down) = if base == 10 {
        (4_950, -4_970)
    } else {
        (16_400, -16_500)
    };
    if magnitude > far_up {
        return (Float80::Infinite(negative), false);
    }
    if magnitude < far_down {
        return (Float80::ZERO, false);
    }
    let value = Big::from_digits(digits, base);
    let number = match (base, exponent) {
        (10, 0..) => top(negative, &value.mul_power_of_ten(exponent as u32), 0),
        (10, _) => {
            let divisor = Big::from(1).mul_power_of_ten(exponent.unsigned_abs() as u32);
            let (quotient, exponent, more) = value.divide(divisor);
            round(negative, quotient, exponent, more)
        }
        _ => top(negative, &value, exponent as i32),
    };
    (number, false)
}

/// A big integer times 2^`exponent`, rounded.
fn top(negative: bool, value: &Big, exponent: i32) -> Float80 {
    let (mantissa, dropped, more) = value.top_bits();
    round(negative, mantissa, exponent + dropped as i32, more)
}
