//! Parts of a sorted set: all of it, an interval of scores, or an interval of members.
//!
//! An interval of members makes sense where all members have the same score. Where they have not,
//! Redis walks over a small set from its first member that is not before the interval to the first
//! one behind it, and so do we; of a large set it is the members with the lowest score that count.
//!
//! Source: Redis `t_zset.c`, `zslParseRange` and `zslParseLexRange`.

use std::cmp::Ordering;

use bytes::Bytes;

use super::order::Item;
use super::score::parse_bound;
use crate::CommandError;
use crate::command::Part;
use crate::errors::error_lines;

pub(super) const PART: Part = Part::new(&[], LINES);

error_lines! {
    /// A bound of scores that is no number.
    NOT_A_FLOAT_RANGE = "ERR min or max is not a float";
    /// A bound of members without `[` or `(`.
    NOT_A_LEX_RANGE = "ERR min or max not valid string range item";
}

/// A part of a sorted set.
#[derive(Debug, Clone)]
pub(crate) enum Span {
    All,
    Scores(Scores),
    Members(Members),
}

/// The scores from `min` to `max`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scores {
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) min_excluded: bool,
    pub(crate) max_excluded: bool,
}

/// The members from `min` to `max`.
#[derive(Debug, Clone)]
pub(crate) struct Members {
    pub(super) min: Edge,
    pub(super) max: Edge,
}

/// A bound of an interval of members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Edge {
    /// Before all members.
    Least,
    /// Behind all members.
    Greatest,
    At {
        member: Bytes,
        excluded: bool,
    },
}

/// Which items of a span, in which order.
#[derive(Debug, Clone)]
pub(crate) struct Selection {
    pub(crate) span: Span,
    /// From the last to the first.
    pub(crate) down: bool,
    /// How many are passed over.
    pub(crate) offset: u64,
    /// How many there are at most.
    pub(crate) count: u64,
}

impl Selection {
    /// All items of a span, upwards.
    pub(crate) fn of(span: Span) -> Self {
        Self {
            span,
            down: false,
            offset: 0,
            count: u64::MAX,
        }
    }

    /// The items from one rank to another, both included; below 0 they count from the end. `None`
    /// if there are none.
    pub(crate) fn ranks(start: i64, stop: i64, len: u64) -> Option<Self> {
        let rank = |rank: i64| match u64::try_from(rank) {
            Ok(rank) => Some(rank),
            Err(_) => len.checked_sub(rank.unsigned_abs()),
        };
        let (start, stop) = (rank(start).unwrap_or(0), rank(stop)?);
        let stop = stop.min(len.checked_sub(1)?);
        Some(Self {
            offset: start,
            count: (stop + 1).checked_sub(start).filter(|count| *count > 0)?,
            ..Self::of(Span::All)
        })
    }

    /// The first items, or the last from the last on.
    pub(crate) fn end(down: bool, count: u64) -> Self {
        Self {
            down,
            count,
            ..Self::of(Span::All)
        }
    }
}

impl Scores {
    /// Reads two bounds. Errors: `NOT_A_FLOAT_RANGE`.
    pub(super) fn parse(min: &Bytes, max: &Bytes) -> Result<Self, CommandError> {
        let bound = |word: &Bytes| {
            let (text, excluded) = match word.strip_prefix(b"(") {
                Some(text) => (text, true),
                None => (&word[..], false),
            };
            Some((parse_bound(text)?, excluded))
        };
        let bounds = bound(min).zip(bound(max)).ok_or(NOT_A_FLOAT_RANGE)?;
        let ((min, min_excluded), (max, max_excluded)) = bounds;
        Ok(Self {
            min,
            max,
            min_excluded,
            max_excluded,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        let is_point = self.min == self.max;
        self.min > self.max || (is_point && (self.min_excluded || self.max_excluded))
    }

    pub(super) fn is_before(&self, score: f64) -> bool {
        score < self.min || (self.min_excluded && score == self.min)
    }

    pub(super) fn is_behind(&self, score: f64) -> bool {
        score > self.max || (self.max_excluded && score == self.max)
    }
}

impl Members {
    /// Reads two bounds. Errors: `NOT_A_LEX_RANGE`.
    pub(super) fn parse(min: &Bytes, max: &Bytes) -> Result<Self, CommandError> {
        let bounds = Edge::parse(min).zip(Edge::parse(max));
        let (min, max) = bounds.ok_or(NOT_A_LEX_RANGE)?;
        Ok(Self { min, max })
    }

    pub(super) fn is_empty(&self) -> bool {
        use Edge::{At, Greatest, Least};
        match (&self.min, &self.max) {
            (Greatest, _) | (_, Least) => true,
            (Least, _) | (_, Greatest) => false,
            (
                At {
                    member: min,
                    excluded: a,
                },
                At {
                    member: max,
                    excluded: b,
                },
            ) => match min.cmp(max) {
                Ordering::Less => false,
                Ordering::Equal => *a || *b,
                Ordering::Greater => true,
            },
        }
    }

    /// Whether a member is not before the interval.
    fn is_from(&self, member: &[u8]) -> bool {
        match &self.min {
            Edge::Least => true,
            Edge::Greatest => false,
            Edge::At {
                member: min,
                excluded,
            } => match member.cmp(min) {
                Ordering::Equal => !excluded,
                order => order.is_gt(),
            },
        }
    }

    /// Whether a member is not behind the interval.
    fn is_to(&self, member: &[u8]) -> bool {
        match &self.max {
            Edge::Least => false,
            Edge::Greatest => true,
            Edge::At {
                member: max,
                excluded,
            } => match member.cmp(max) {
                Ordering::Equal => !excluded,
                order => order.is_lt(),
            },
        }
    }

    /// The places of the interval among items; from its end if `down`.
    fn places(&self, items: &[Item], down: bool) -> std::ops::Range<usize> {
        let is_from = |item: &Item| self.is_from(&item.member);
        let is_to = |item: &Item| self.is_to(&item.member);
        let (Some(first), Some(last)) = (items.first(), items.last()) else {
            return 0..0;
        };
        if self.is_empty() || !is_from(last) || !is_to(first) {
            return 0..0;
        }
        if down {
            let end = items.iter().rposition(is_to).map_or(0, |last| last + 1);
            let before = items[..end].iter().rposition(|item| !is_from(item));
            before.map_or(0, |before| before + 1)..end
        } else {
            let start = items.iter().position(is_from).unwrap_or(items.len());
            let behind = items[start..].iter().position(|item| !is_to(item));
            start..behind.map_or(items.len(), |behind| start + behind)
        }
    }
}

impl Edge {
    fn parse(word: &Bytes) -> Option<Self> {
        let at = |excluded| Self::At {
            member: word.slice(1..),
            excluded,
        };
        match word[..] {
            // As C reads it: up to the first NUL.
            [b'-'] | [b'-', 0, ..] => Some(Self::Least),
            [b'+'] | [b'+', 0, ..] => Some(Self::Greatest),
            [b'(', ..] => Some(at(true)),
            [b'[', ..] => Some(at(false)),
            _ => None,
        }
    }
}

impl Span {
    /// The places of the span among items, which are in order. A selection that goes down looks
    /// from the end.
    pub(super) fn places(&self, items: &[Item], down: bool) -> std::ops::Range<usize> {
        match self {
            Self::All => 0..items.len(),
            Self::Scores(scores) if scores.is_empty() => 0..0,
            Self::Scores(scores) => {
                let start = items.partition_point(|item| scores.is_before(item.score));
                let end = items.partition_point(|item| !scores.is_behind(item.score));
                start..end
            }
            Self::Members(members) => members.places(items, down),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn b(text: &str) -> Bytes {
        Bytes::copy_from_slice(text.as_bytes())
    }

    fn items(of: &[(f64, &str)]) -> Vec<Item> {
        let item = |(score, member): &(f64, &str)| Item {
            score: *score,
            member: b(member),
        };
        of.iter().map(item).collect()
    }

    #[test]
    fn ranks_below_zero_count_from_the_end() {
        let ranks = |start, stop| {
            let found = Selection::ranks(start, stop, 5);
            found.map(|found| (found.offset, found.count))
        };
        assert_eq!(ranks(0, -1), Some((0, 5)));
        assert_eq!(ranks(-2, -1), Some((3, 2)));
        assert_eq!(ranks(-100, 100), Some((0, 5)));
        assert_eq!(ranks(2, 2), Some((2, 1)));
        assert_eq!(ranks(i64::MIN, i64::MAX), Some((0, 5)));
        for (start, stop) in [(3, 2), (5, 9), (0, -6), (-1, -2), (i64::MAX, i64::MAX)] {
            assert_eq!(ranks(start, stop), None, "{start} {stop}");
        }
        assert!(Selection::ranks(0, -1, 0).is_none());
    }

    #[test]
    fn intervals_of_scores_are_open_or_closed() {
        let all = items(&[(1.0, "a"), (2.0, "b"), (2.0, "c"), (3.0, "d")]);
        for (min, max, places) in [
            ("-inf", "+inf", 0..4),
            ("1", "2", 0..3),
            ("(1", "2", 1..3),
            ("2", "(3", 1..3),
            ("(2", "(3", 3..3),
            ("5", "9", 4..4),
            ("3", "1", 0..0),
            ("(2", "2", 0..0),
        ] {
            let span = Span::Scores(Scores::parse(&b(min), &b(max)).unwrap());
            assert_eq!(span.places(&all, false), places, "{min} {max}");
            assert_eq!(span.places(&all, true), places, "{min} {max}");
        }
        for bad in ["x", "(x", "((1", "nan", "1 "] {
            assert!(Scores::parse(&b(bad), &b("1")).is_err(), "{bad}");
            assert!(Scores::parse(&b("1"), &b(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn intervals_of_members_are_open_or_closed() {
        let all = items(&[(0.0, "a"), (0.0, "b"), (0.0, "c"), (0.0, "d")]);
        for (min, max, places) in [
            ("-", "+", 0..4),
            ("[b", "[c", 1..3),
            ("(a", "(d", 1..3),
            ("[bb", "+", 2..4),
            ("-", "[", 0..0),
            ("+", "-", 0..0),
            ("+", "[z", 0..0),
            ("[c", "[b", 0..0),
            ("(b", "[b", 0..0),
            ("[b", "[b", 1..2),
            ("-\0x", "+\0x", 0..4),
        ] {
            let span = Span::Members(Members::parse(&b(min), &b(max)).unwrap());
            assert_eq!(span.places(&all, false), places, "{min} {max}");
            assert_eq!(span.places(&all, true), places, "{min} {max}");
        }
        for bad in ["", "a", "-x", "+inf"] {
            assert!(Members::parse(&b(bad), &b("+")).is_err(), "{bad}");
        }
    }

    #[test]
    fn members_with_several_scores_are_walked_over_as_redis_does() {
        let all = items(&[(1.0, "c"), (2.0, "a"), (3.0, "d"), (4.0, "b")]);
        let places = |min, max, down| {
            let members = Members::parse(&b(min), &b(max)).unwrap();
            Span::Members(members).places(&all, down)
        };
        assert_eq!(places("[b", "[c", false), 0..2);
        assert_eq!(places("[a", "[c", false), 0..2);
        assert_eq!(places("[a", "[c", true), 3..4);
        assert_eq!(places("[c", "+", false), 0..0, "the last is before it");
    }
}
