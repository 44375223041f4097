//! Where a command's keys stand among its words.
//!
//! [`Keys`] serves routing and ownership checks: it must name every key. [`KeySpec`] serves
//! `COMMAND INFO` and `COMMAND GETKEYSANDFLAGS`: what Redis says of each run of keys. A test holds
//! the two together.

use bytes::Bytes;

use crate::{CommandError, number};

/// Which words are keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// None.
    None,
    /// One word.
    One(usize),
    /// Every `step`th word from `first` to `last`; a `last` below 0 counts from the end.
    Range {
        /// The first key.
        first: usize,
        /// The last key.
        last: i32,
        /// The distance between keys.
        step: usize,
    },
    /// Word `count` says how many keys follow from `first` on.
    NumKeys {
        /// The word with the count.
        count: usize,
        /// The first key.
        first: usize,
        /// The distance between keys.
        step: usize,
    },
    /// No keys but an interval: words `start` and `end` (an empty end is the end of the table).
    Interval {
        /// The word with the first key of the interval.
        start: usize,
        /// The word with its end.
        end: usize,
    },
}

impl Keys {
    /// Every `step`th word from `first` to `last`; a `last` below 0 counts from the end.
    pub(crate) const fn range(first: usize, last: i32, step: usize) -> Self {
        Keys::Range { first, last, step }
    }

    /// The positions of the keys among `args`. Only [`Keys::NumKeys`] can fail.
    pub fn positions(&self, args: &[Bytes]) -> Result<Positions, CommandError> {
        let none = Positions {
            next: 0,
            end: 0,
            step: 1,
        };
        Ok(match *self {
            Keys::None | Keys::Interval { .. } => none,
            Keys::One(at) if at < args.len() => Positions {
                next: at,
                end: at + 1,
                step: 1,
            },
            Keys::One(_) => none,
            Keys::Range { first, last, step } => {
                let last = if last < 0 {
                    args.len() as i64 + i64::from(last)
                } else {
                    last.into()
                };
                let end = usize::try_from(last + 1).unwrap_or(0).min(args.len());
                Positions {
                    next: first,
                    end,
                    step,
                }
            }
            Keys::NumKeys { count, first, step } => {
                let found = args.get(count).and_then(|word| number::parse_int(word));
                let found = usize::try_from(found.ok_or(CommandError::InvalidArguments)?)
                    .map_err(|_| CommandError::InvalidArguments)?;
                let end = found
                    .checked_mul(step)
                    .and_then(|len| len.checked_add(first));
                match end {
                    Some(end) if end <= args.len() => Positions {
                        next: first,
                        end,
                        step,
                    },
                    _ => return Err(CommandError::InvalidArguments),
                }
            }
        })
    }

    /// The interval of a range command, as `(start, end)`.
    #[must_use]
    pub fn interval(&self, args: &[Bytes]) -> Option<(Bytes, Option<Bytes>)> {
        let Keys::Interval { start, end } = *self else {
            return None;
        };
        let (start, end) = (args.get(start)?.clone(), args.get(end)?.clone());
        Some((start, (!end.is_empty()).then_some(end)))
    }
}

/// Iterates over positions of words.
#[derive(Debug, Clone)]
pub struct Positions {
    next: usize,
    end: usize,
    step: usize,
}

impl Iterator for Positions {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let at = self.next;
        (at < self.end).then(|| self.next += self.step).map(|()| at)
    }
}

/// What Redis says a command does with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyFlags(pub &'static [&'static str]);

/// One run of keys, as `COMMAND INFO` prints it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeySpec {
    /// Redis' remark, if it has one.
    pub notes: Option<&'static str>,
    /// What is done with the keys, first `RO`, `RW`, `OW` or `RM`.
    pub flags: KeyFlags,
    /// The word of the first key.
    pub first: usize,
    /// The last key, counted from the first; below 0 from the end of the words.
    pub last: i32,
    /// The distance between keys.
    pub step: usize,
}

impl KeySpec {
    pub(crate) const fn notes(mut self, notes: &'static str) -> Self {
        self.notes = Some(notes);
        self
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    fn positions(keys: Keys, line: &str) -> Option<Vec<usize>> {
        let args: Vec<_> = line
            .split(' ')
            .map(|w| Bytes::copy_from_slice(w.as_bytes()))
            .collect();
        Some(keys.positions(&args).ok()?.collect())
    }

    #[test]
    fn every_key_is_found() {
        assert_eq!(positions(Keys::One(1), "get k"), Some(vec![1]));
        assert_eq!(positions(Keys::One(2), "object help"), Some(vec![]));
        let all = Keys::Range {
            first: 1,
            last: -1,
            step: 1,
        };
        assert_eq!(positions(all, "del a b c"), Some(vec![1, 2, 3]));
        let pairs = Keys::Range {
            first: 1,
            last: -1,
            step: 2,
        };
        assert_eq!(positions(pairs, "mset a 1 b 2"), Some(vec![1, 3]));
        let two = Keys::Range {
            first: 1,
            last: 2,
            step: 1,
        };
        assert_eq!(positions(two, "copy a b replace"), Some(vec![1, 2]));
        let counted = Keys::NumKeys {
            count: 1,
            first: 2,
            step: 1,
        };
        assert_eq!(positions(counted, "x 2 a b c"), Some(vec![2, 3]));
        assert_eq!(positions(counted, "x 9 a b c"), None);
        assert_eq!(positions(counted, "x -1 a b c"), None);
    }

    #[test]
    fn an_empty_end_is_the_end_of_the_table() {
        let keys = Keys::Interval { start: 1, end: 2 };
        let args = [
            Bytes::from_static(b"_count"),
            Bytes::from_static(b"a"),
            Bytes::new(),
        ];
        assert_eq!(
            keys.interval(&args).unwrap(),
            (Bytes::from_static(b"a"), None)
        );
        assert_eq!(Keys::None.interval(&args), None);
    }
}
