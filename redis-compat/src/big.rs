//! Unsigned integers of any size, as far as [`crate::float80`] needs them: a few thousand digits.

use std::cmp::Ordering;
use std::fmt;

/// Little-endian words without zeros at the top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Big(Vec<u32>);

impl From<u128> for Big {
    fn from(value: u128) -> Self {
        let words = (0..4).map(|at| (value >> (32 * at)) as u32).collect();
        Self(words).trimmed()
    }
}

impl Big {
    /// The number that `digits` of `base` are.
    pub(crate) fn from_digits(digits: &[u8], base: u32) -> Self {
        let mut value = Self(Vec::new());
        for digit in digits {
            value.mul_add(base, (*digit).into());
        }
        value
    }

    /// `self * 10^power`.
    pub(crate) fn mul_power_of_ten(mut self, power: u32) -> Self {
        for _ in 0..power / 9 {
            self.mul_add(1_000_000_000, 0);
        }
        self.mul_add(10u32.pow(power % 9), 0);
        self
    }

    /// `self * 2^bits`.
    pub(crate) fn shl(self, bits: usize) -> Self {
        let (words, bits) = (bits / 32, bits % 32);
        let mut shifted = vec![0; words];
        let mut carry = 0u64;
        for word in self.0 {
            let wide = (u64::from(word) << bits) | carry;
            shifted.push(wide as u32);
            carry = wide >> 32;
        }
        shifted.push(carry as u32);
        Self(shifted).trimmed()
    }

    /// How many bits it takes.
    pub(crate) fn bits(&self) -> usize {
        let top = self.0.last().map_or(32, |word| word.leading_zeros());
        self.0.len() * 32 - if self.0.is_empty() { 0 } else { top as usize }
    }

    /// The highest bits, at least 65 if it has as many; how many were dropped below; and whether
    /// any of those is set.
    pub(crate) fn top_bits(&self) -> (u128, usize, bool) {
        let dropped = self.0.len().saturating_sub(4);
        let top = self.0[dropped..]
            .iter()
            .rev()
            .fold(0, |top, word| (top << 32) | u128::from(*word));
        (
            top,
            dropped * 32,
            self.0[..dropped].iter().any(|word| *word != 0),
        )
    }

    /// `self / divisor` as `quotient * 2^exponent`, the quotient of 66 or 67 bits; and whether
    /// anything is left. Neither may be zero.
    pub(crate) fn divide(self, divisor: Self) -> (u128, i32, bool) {
        const QUOTIENT_BITS: i32 = 66;
        // Scaled so that divisor/2 < rest < 2*divisor.
        let shift = divisor.bits() as i32 - self.bits() as i32;
        let (mut rest, divisor) = match usize::try_from(shift) {
            Ok(shift) => (self.shl(shift), divisor),
            Err(_) => (self, divisor.shl(shift.unsigned_abs() as usize)),
        };
        let mut quotient = 0u128;
        for _ in 0..=QUOTIENT_BITS {
            quotient <<= 1;
            if rest.compare(&divisor) != Ordering::Less {
                rest.subtract(&divisor);
                quotient |= 1;
            }
            rest = rest.shl(1);
        }
        (quotient, -QUOTIENT_BITS - shift, !rest.0.is_empty())
    }

    fn mul_add(&mut self, factor: u32, addend: u32) {
        let mut carry = u64::from(addend);
        for word in &mut self.0 {
            carry += u64::from(*word) * u64::from(factor);
            *word = carry as u32;
            carry >>= 32;
        }
        if carry > 0 {
            self.0.push(carry as u32);
        }
    }

    fn div_small(&mut self, divisor: u32) -> u32 {
        let mut rest = 0u64;
        for word in self.0.iter_mut().rev() {
            let wide = (rest << 32) | u64::from(*word);
            *word = (wide / u64::from(divisor)) as u32;
            rest = wide % u64::from(divisor);
        }
        self.trim();
        rest as u32
    }

    fn compare(&self, other: &Self) -> Ordering {
        let words = || self.0.iter().rev().cmp(other.0.iter().rev());
        self.0.len().cmp(&other.0.len()).then_with(words)
    }

    /// Takes away `other`, which is not larger.
    fn subtract(&mut self, other: &Self) {
        let mut borrow = false;
        for (at, word) in self.0.iter_mut().enumerate() {
            let other = other.0.get(at).copied().unwrap_or(0);
            let (once, first) = word.overflowing_sub(other);
            let (twice, second) = once.overflowing_sub(borrow.into());
            (*word, borrow) = (twice, first || second);
        }
        self.trim();
    }

    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    fn trimmed(mut self) -> Self {
        self.trim();
        self
    }
}

impl fmt::Display for Big {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.clone();
        let mut parts = Vec::new();
        while !rest.0.is_empty() {
            parts.push(rest.div_small(1_000_000_000));
        }
        write!(f, "{}", parts.pop().unwrap_or(0))?;
        parts
            .iter()
            .rev()
            .try_for_each(|part| write!(f, "{part:09}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_agrees_with_u128() {
        let big = |value: u128| Big::from(value);
        assert_eq!(big(0).to_string(), "0");
        assert_eq!(big(u128::MAX).to_string(), u128::MAX.to_string());
        assert_eq!(
            big(12_345).mul_power_of_ten(20).to_string(),
            format!("12345{}", "0".repeat(20))
        );
        assert_eq!(big(5).shl(70), big(5 << 70));
        assert_eq!(Big::from_digits(&[1, 2, 3], 10), big(123));
        assert_eq!(Big::from_digits(&[15, 15], 16), big(255));
        assert_eq!(
            (big(0).bits(), big(1).bits(), big(1 << 40).bits()),
            (0, 1, 41)
        );
    }

    #[test]
    fn a_quotient_has_enough_bits() {
        let (quotient, exponent, more) = Big::from(7).divide(Big::from(2));
        assert!(!more);
        assert_eq!(quotient as f64 * f64::from(exponent).exp2(), 3.5);
        let (quotient, exponent, more) = Big::from(1).divide(Big::from(3));
        assert!(more && quotient >> 64 != 0);
        assert_eq!(quotient as f64 * f64::from(exponent).exp2(), 1.0 / 3.0);
    }
}
