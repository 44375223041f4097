//! Where a command's keys stand among its words: Redis' key specifications.
//!
//! A row declares its keys once, as runs of words ([`KeySpec`]): where a run begins, how far it
//! goes, and how the command uses its keys. `COMMAND INFO`, `COMMAND GETKEYS`, routing, ownership
//! checks and size checks all read them through [`Positions`] or
//! [`Command::visit_keys`](crate::Command::visit_keys).
//!
//! Source: Redis `server.h`, `keySpec`, and `db.c`, `getKeysUsingKeySpecs`.

use bytes::Bytes;
use coterie_types::TableId;

use crate::errors::INVALID_ARGUMENTS;
use crate::flags::bit_set;
use crate::{CommandError, number};

bit_set! {
    /// How a command uses the keys of a run: one of the first four, then its effect on values.
    KeyFlags(u16) {
        /// Reads the value.
        RO = 0, "RO";
        /// Reads and changes the value.
        RW = 1, "RW";
        /// Overwrites the value without reading it.
        OW = 2, "OW";
        /// Removes the key without reading the value.
        RM = 3, "RM";
        /// Returns the value or copies it.
        ACCESS = 4, "access";
        /// Changes the value.
        UPDATE = 5, "update";
        /// Adds to the value.
        INSERT = 6, "insert";
        /// Removes from the value, or all of it.
        DELETE = 7, "delete";
        /// Not a key, and yet routed by.
        NOT_KEY = 8, "not_key";
        /// There are further keys that no run describes.
        INCOMPLETE = 9, "incomplete";
        /// The options decide; see [`crate::Command::key_flags`].
        VARIABLE_FLAGS = 10, "variable_flags";
    }
}

/// Where a run of keys begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BeginSearch {
    /// At this word.
    Index(usize),
    /// Behind a keyword, which is searched from word `start_from` on; below 0 it is searched
    /// backwards, from so many words before the end.
    Keyword {
        /// The keyword, in any case.
        word: &'static str,
        /// Where the search starts.
        start_from: i32,
    },
    /// Nothing but the command itself can tell.
    Unknown,
}

/// How far a run of keys goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FindKeys {
    /// Every `step`th word up to `last`, which counts from the begin; below 0 from the end of the
    /// words. With a `limit` of 2 or more, only that fraction of the words is keys.
    Range {
        /// The last key.
        last: i32,
        /// The distance between keys.
        step: usize,
        /// 0, or the fraction.
        limit: usize,
    },
    /// A word says how many keys there are. All three count from the begin.
    KeyNum {
        /// The word with the count.
        count: usize,
        /// The first key.
        first: usize,
        /// The distance between keys.
        step: usize,
    },
    /// Nothing but the command itself can tell.
    Unknown,
}

/// The table that a run of keys lies in, if the words name a valid table.
pub(crate) type TableOf = fn(&[Bytes]) -> Option<TableId>;

/// A run of keys.
#[derive(Debug, Clone, Copy)]
pub struct KeySpec {
    /// Redis' remark, if any.
    pub notes: Option<&'static str>,
    /// How the keys are used.
    pub flags: KeyFlags,
    /// Where the run begins.
    pub begin: BeginSearch,
    /// How far it goes.
    pub find: FindKeys,
    /// The run is not part of Redis' own specification: it names the same words once more, in
    /// another table.
    pub(crate) unlisted: bool,
    /// Words may name another table for these keys.
    pub(crate) table: Option<TableOf>,
}

impl KeyFlags {
    pub(crate) const RO_ACCESS: Self = Self::RO.with(Self::ACCESS);
    pub(crate) const RW_ACCESS_DELETE: Self = Self::RW.with(Self::ACCESS).with(Self::DELETE);
    pub(crate) const RW_ACCESS_UPDATE: Self = Self::RW.with(Self::ACCESS).with(Self::UPDATE);
    pub(crate) const RW_INSERT: Self = Self::RW.with(Self::INSERT);
    pub(crate) const RW_UPDATE: Self = Self::RW.with(Self::UPDATE);
    pub(crate) const OW_INSERT: Self = Self::OW.with(Self::INSERT);
    pub(crate) const OW_UPDATE: Self = Self::OW.with(Self::UPDATE);
    pub(crate) const RM_DELETE: Self = Self::RM.with(Self::DELETE);

    /// A single key, at word `index`.
    pub(crate) const fn at(self, index: usize) -> KeySpec {
        self.begins(BeginSearch::Index(index))
    }

    /// A single key, behind a keyword.
    pub(crate) const fn behind(self, word: &'static str, start_from: i32) -> KeySpec {
        self.begins(BeginSearch::Keyword { word, start_from })
    }

    const fn begins(self, begin: BeginSearch) -> KeySpec {
        KeySpec {
            notes: None,
            flags: self,
            begin,
            find: FindKeys::Range {
                last: 0,
                step: 1,
                limit: 0,
            },
            unlisted: false,
            table: None,
        }
    }
}

impl KeySpec {
    /// Every `step`th word, up to the last.
    pub(crate) const fn every(mut self, step: usize) -> Self {
        let (last, limit) = (-1, 0);
        self.find = FindKeys::Range { last, step, limit };
        self
    }

    /// Each word up to `last`, which counts from the begin.
    pub(crate) const fn to(mut self, last: i32) -> Self {
        let (step, limit) = (1, 0);
        self.find = FindKeys::Range { last, step, limit };
        self
    }

    /// Of a run to the end of the words: only its first half is keys.
    pub(crate) const fn halved(mut self) -> Self {
        if let FindKeys::Range { limit, .. } = &mut self.find {
            *limit = 2;
        }
        self
    }

    pub(crate) const fn notes(mut self, notes: &'static str) -> Self {
        self.notes = Some(notes);
        self
    }

    /// Words may put these keys into another table.
    pub(crate) const fn in_table(mut self, table: TableOf) -> Self {
        self.table = Some(table);
        self
    }

    /// The word where the run begins says how many keys follow it.
    pub(crate) const fn counted(mut self) -> Self {
        let (count, first, step) = (0, 1, 1);
        self.find = FindKeys::KeyNum { count, first, step };
        self
    }

    /// See [`KeySpec::unlisted`].
    pub(crate) const fn unlisted(mut self) -> Self {
        self.unlisted = true;
        self
    }

    /// Whether the run is a single word, always the same.
    pub(crate) const fn is_one_word(&self) -> bool {
        matches!(self.begin, BeginSearch::Index(_))
            && matches!(self.find, FindKeys::Range { last: 0, .. })
    }

    /// The positions of the run's keys among `args`; none where the words do not reach.
    pub(crate) fn positions(&self, args: &[Bytes]) -> Result<Run, CommandError> {
        let Some(begin) = self.begin.find(args) else {
            return Ok(Run::EMPTY);
        };
        match self.find {
            FindKeys::Unknown => Ok(Run::EMPTY),
            FindKeys::Range { last, step, limit } => {
                let words = args.len();
                let last = match usize::try_from(last) {
                    Ok(last) => begin + last,
                    Err(_) => {
                        let end = match limit {
                            0 | 1 => words,
                            limit => begin + words.saturating_sub(begin) / limit,
                        };
                        let Some(last) = end.checked_sub(last.unsigned_abs() as usize) else {
                            return Ok(Run::EMPTY);
                        };
                        last
                    }
                };
                let end = words.min(last + 1);
                Ok(Run {
                    at: begin,
                    end,
                    step,
                })
            }
            FindKeys::KeyNum { count, first, step } => {
                let count = args
                    .get(begin + count)
                    .and_then(|word| number::parse_int(word));
                let count = count.and_then(|count| usize::try_from(count).ok());
                let at = begin + first;
                let end = count
                    .and_then(|count| count.checked_mul(step))
                    .and_then(|words| words.checked_add(at))
                    .filter(|end| *end <= args.len());
                let end = end.ok_or(INVALID_ARGUMENTS)?;
                Ok(Run { at, end, step })
            }
        }
    }
}

impl BeginSearch {
    fn find(self, args: &[Bytes]) -> Option<usize> {
        match self {
            BeginSearch::Index(index) => Some(index),
            BeginSearch::Keyword { word, start_from } => {
                let is_word = |at: &usize| args[*at].eq_ignore_ascii_case(word.as_bytes());
                let found = match usize::try_from(start_from) {
                    Ok(start) => (start..args.len()).find(is_word)?,
                    Err(_) => {
                        let back = start_from.unsigned_abs() as usize;
                        (1..=args.len().checked_sub(back)?).rev().find(is_word)?
                    }
                };
                Some(found + 1)
            }
            BeginSearch::Unknown => None,
        }
    }
}

/// Iterates over the positions of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    at: usize,
    end: usize,
    step: usize,
}

impl Run {
    const EMPTY: Run = Run {
        at: 0,
        end: 0,
        step: 1,
    };
}

impl Iterator for Run {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let at = self.at;
        (at < self.end).then(|| self.at += self.step).map(|()| at)
    }
}

/// Iterates over the positions of keys, run after run.
#[derive(Debug, Clone)]
pub struct Positions<'a> {
    run: Run,
    rest: std::slice::Iter<'static, KeySpec>,
    args: &'a [Bytes],
}

impl<'a> Positions<'a> {
    /// The keys of `specs` among `args`. Errors: `INVALID_ARGUMENTS`, when a count of keys is no
    /// number or says more than there are words.
    pub(crate) fn new(specs: &'static [KeySpec], args: &'a [Bytes]) -> Result<Self, CommandError> {
        for spec in specs {
            if let FindKeys::KeyNum { .. } = spec.find {
                spec.positions(args)?;
            }
        }
        Ok(Self {
            run: Run::EMPTY,
            rest: specs.iter(),
            args,
        })
    }
}

impl Iterator for Positions<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        loop {
            if let Some(at) = self.run.next() {
                return Some(at);
            }
            let spec = self.rest.find(|spec| !spec.unlisted)?;
            self.run = spec.positions(self.args).unwrap_or(Run::EMPTY);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn positions(specs: &'static [KeySpec], line: &str) -> Option<Vec<usize>> {
        let words = line.split(' ');
        let args: Vec<_> = words
            .map(|word| Bytes::copy_from_slice(word.as_bytes()))
            .collect();
        Some(Positions::new(specs, &args).ok()?.collect())
    }

    #[test]
    fn every_key_is_found() {
        const ONE: &[KeySpec] = &[KeyFlags::RO.at(1)];
        assert_eq!(positions(ONE, "get k"), Some(vec![1]));
        const SECOND: &[KeySpec] = &[KeyFlags::RO.at(2)];
        assert_eq!(positions(SECOND, "object help"), Some(vec![]));
        const ALL: &[KeySpec] = &[KeyFlags::RO.at(1).every(1)];
        assert_eq!(positions(ALL, "del a b c"), Some(vec![1, 2, 3]));
        const PAIRS: &[KeySpec] = &[KeyFlags::RO.at(1).every(2)];
        assert_eq!(positions(PAIRS, "mset a 1 b 2"), Some(vec![1, 3]));
        const TWO: &[KeySpec] = &[KeyFlags::RO.at(1).to(1)];
        assert_eq!(positions(TWO, "copy a b replace"), Some(vec![1, 2]));
    }

    #[test]
    fn a_count_says_how_many_keys_follow() {
        const COUNTED: &[KeySpec] = &[counted(1)];
        assert_eq!(positions(COUNTED, "x 2 a b c"), Some(vec![2, 3]));
        assert_eq!(positions(COUNTED, "x 9 a b c"), None);
        assert_eq!(positions(COUNTED, "x -1 a b c"), None);
        const STORED: &[KeySpec] = &[KeyFlags::OW_UPDATE.at(1), counted(2)];
        let line = "zunionstore d 2 a b weights 1 2";
        assert_eq!(positions(STORED, line), Some(vec![1, 3, 4]));
    }

    const fn counted(index: usize) -> KeySpec {
        KeyFlags::RO_ACCESS.at(index).counted()
    }

    #[test]
    fn a_keyword_begins_a_run() {
        const STREAMS: &[KeySpec] = &[KeyFlags::RO_ACCESS.behind("STREAMS", 1).every(1).halved()];
        let line = "xread count 2 streams a b 0 0";
        assert_eq!(positions(STREAMS, line), Some(vec![4, 5]));
        assert_eq!(positions(STREAMS, "xread count 2"), Some(vec![]));
        const KEYS: &[KeySpec] = &[KeyFlags::RW.behind("KEYS", -2).every(1)];
        let line = "migrate host port keys 0 10 keys a b";
        assert_eq!(positions(KEYS, line), Some(vec![7, 8]));
    }
}
