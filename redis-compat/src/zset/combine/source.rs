//! The sets that are put together: sorted sets, and sets, whose members have the score 1.

use bytes::Bytes;

use crate::errors::WRONG_TYPE;
use crate::key::Typed;
use crate::set::Set;
use crate::zset::order::Item;
use crate::zset::span::{Selection, Span};
use crate::zset::{SortedSet, spread};
use crate::{EvalError, Txn};

/// The value of a key.
pub(super) enum Source {
    Absent,
    Sorted(SortedSet),
    Plain(Set),
}

/// Reads the values of keys. Errors: `WRONG_TYPE`.
pub(super) fn read(txn: &mut Txn<'_>, keys: &[Bytes]) -> Result<Vec<Source>, EvalError> {
    let mut sources = Vec::with_capacity(keys.len());
    for key in keys {
        let Some(value) = txn.value(key)? else {
            sources.push(Source::Absent);
            continue;
        };
        sources.push(match value.typed()? {
            Typed::SortedSet(set) => Source::Sorted(set.under(txn, key)?),
            Typed::Set(set) => Source::Plain(set),
            _ => return Err(WRONG_TYPE.into()),
        });
    }
    Ok(sources)
}

impl Source {
    pub(super) fn len(&self, txn: &mut Txn<'_>) -> Result<u64, EvalError> {
        match self {
            Self::Absent => Ok(0),
            Self::Sorted(set) => Ok(set.len()?),
            Self::Plain(set) => plain_len(txn, set),
        }
    }

    /// The score of a member, if it is there.
    pub(super) fn score(
        &mut self,
        txn: &mut Txn<'_>,
        member: &Bytes,
    ) -> Result<Option<f64>, EvalError> {
        match self {
            Self::Absent => Ok(None),
            Self::Sorted(set) => Ok(set.score(txn, member)?),
            Self::Plain(set) => Ok(plain_has(txn, set, member)?.then_some(1.0)),
        }
    }

    /// Visits all members, until `visit` returns false.
    pub(super) fn walk(
        &mut self,
        txn: &mut Txn<'_>,
        visit: &mut spread::Visit<'_>,
    ) -> Result<(), EvalError> {
        match self {
            Self::Absent => Ok(()),
            Self::Sorted(set) => set.walk(txn, &Selection::of(Span::All), visit),
            Self::Plain(set) => plain_walk(txn, set, &mut |txn, member| {
                visit(txn, Item { score: 1.0, member })
            }),
        }
    }
}

fn plain_len(_: &mut Txn<'_>, _: &Set) -> Result<u64, EvalError> {
    Err(WRONG_TYPE.into())
}

fn plain_has(_: &mut Txn<'_>, _: &mut Set, _: &Bytes) -> Result<bool, EvalError> {
    Err(WRONG_TYPE.into())
}

fn plain_walk(
    _: &mut Txn<'_>,
    _: &mut Set,
    _: &mut dyn FnMut(&mut Txn<'_>, Bytes) -> Result<bool, EvalError>,
) -> Result<(), EvalError> {
    Err(WRONG_TYPE.into())
}
