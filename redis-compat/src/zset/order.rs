//! The order of the members: by score, then by bytes.
//!
//! ```text
//! 8 bytes     the score as a number that orders as scores do, big endian; -0 is 0
//! rest        the member
//! ```
//!
//! These are the keys of family 1 of a spread sorted set; the value is empty, or a byte 1 where the
//! score is -0. The layout is on disk: pinned by the tests below, described in
//! `docs/disk-format.md`.

use std::cmp::Ordering;

use bytes::{BufMut, Bytes, BytesMut};

use crate::Fault;

const SCORE_BYTES: usize = 8;
const SIGN: u64 = 1 << 63;
/// The value of a member whose score is -0.
const NEGATIVE_ZERO: &[u8] = &[1];

/// A member and its score.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Item {
    pub(crate) score: f64,
    pub(crate) member: Bytes,
}

impl Item {
    /// By score, then by member. No score is NaN.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        let by_score = self.score.partial_cmp(&other.score);
        let by_score = by_score.unwrap_or(Ordering::Equal);
        by_score.then_with(|| self.member.cmp(&other.member))
    }

    pub(super) fn is_before(&self, other: &Self) -> bool {
        self.order(other).is_lt()
    }

    /// The item's key in the order.
    pub(super) fn key(&self) -> Bytes {
        key(self.score, &self.member)
    }

    /// The value under that key.
    pub(super) fn value(&self) -> Bytes {
        let is_negative_zero = self.score == 0.0 && self.score.is_sign_negative();
        Bytes::from_static(if is_negative_zero { NEGATIVE_ZERO } else { &[] })
    }

    /// The item of a key and its value.
    pub(super) fn of(key: &[u8], value: &[u8]) -> Result<Self, Fault> {
        let corrupt = || Fault::corrupt("an element of a sorted set has no score");
        let (score, member) = key.split_first_chunk().ok_or_else(corrupt)?;
        let score = match value {
            [] => score_of(u64::from_be_bytes(*score)),
            _ => -0.0,
        };
        Ok(Self {
            score,
            member: Bytes::copy_from_slice(member),
        })
    }
}

/// The key of a member with this score.
pub(super) fn key(score: f64, member: &[u8]) -> Bytes {
    let mut key = BytesMut::with_capacity(SCORE_BYTES + member.len());
    key.put_u64(sortable(score));
    key.put_slice(member);
    key.freeze()
}

/// The first key that a member with this score could have.
pub(super) fn first_key(score: f64) -> Bytes {
    Bytes::copy_from_slice(&sortable(score).to_be_bytes())
}

/// The first key behind all members with this score.
pub(super) fn key_behind(score: f64) -> Bytes {
    // No number is the greatest: those are of no score.
    Bytes::copy_from_slice(&(sortable(score) + 1).to_be_bytes())
}

/// The least key above `key`.
pub(super) fn just_above(key: &[u8]) -> Bytes {
    [key, b"\0"].concat().into()
}

/// A number that orders as scores do. Both zeros have the same.
fn sortable(score: f64) -> u64 {
    let bits = (score + 0.0).to_bits();
    if bits & SIGN == 0 { bits | SIGN } else { !bits }
}

fn score_of(sortable: u64) -> f64 {
    f64::from_bits(match sortable & SIGN {
        0 => !sortable,
        _ => sortable & !SIGN,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_on_disk_is_pinned() {
        let item = |score| Item {
            score,
            member: Bytes::from_static(b"ab"),
        };
        let pinned: [(f64, &[u8], &[u8]); 5] = [
            (1.0, b"\xbf\xf0\0\0\0\0\0\0ab", b""),
            (-1.0, b"\x40\x0f\xff\xff\xff\xff\xff\xffab", b""),
            (0.0, b"\x80\0\0\0\0\0\0\0ab", b""),
            (-0.0, b"\x80\0\0\0\0\0\0\0ab", b"\x01"),
            (f64::INFINITY, b"\xff\xf0\0\0\0\0\0\0ab", b""),
        ];
        for (score, key, value) in pinned {
            assert_eq!(
                (&item(score).key()[..], &item(score).value()[..]),
                (key, value)
            );
            let read = Item::of(key, value).unwrap();
            assert_eq!(read.score.to_bits(), score.to_bits());
            assert_eq!(read.member, "ab");
        }
        assert!(Item::of(b"\x80\0\0\0\0\0\0", b"").is_err());
    }

    #[test]
    fn keys_order_as_scores_do() {
        let scores = [
            f64::NEG_INFINITY,
            f64::MIN,
            -1.5,
            -1.0,
            -5e-324,
            0.0,
            5e-324,
            1.0,
            9_007_199_254_740_992.0,
            f64::MAX,
            f64::INFINITY,
        ];
        for pair in scores.windows(2) {
            assert!(key(pair[0], b"\xff\xff") < key(pair[1], b""), "{pair:?}");
            assert!(key(pair[0], b"\xff") < key_behind(pair[0]), "{pair:?}");
            assert!(key_behind(pair[0]) <= first_key(pair[1]), "{pair:?}");
        }
    }
}
