//! The sets that are put together: sorted sets, and sets, whose members have the score 1.

use bytes::Bytes;

use crate::errors::WRONG_TYPE;
use crate::key::Typed;
use crate::set::Set;
use crate::zset::order::Item;
use crate::zset::span::{Selection, Span};
use crate::zset::spread;
use crate::zset::value::SortedSet;
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
        sources.push(match value.typed(txn.table(), key)? {
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
            Self::Plain(set) => Ok(set.len(txn)?),
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
            Self::Plain(set) => Ok(set.contains(txn, member)?.then_some(1.0)),
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
            Self::Plain(set) => set.each(txn, &mut |txn, member| {
                visit(txn, Item { score: 1.0, member })
            }),
        }
    }
}
