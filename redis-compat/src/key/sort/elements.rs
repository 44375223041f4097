//! The elements of a list, a set or a sorted set.

use bytes::Bytes;

use super::lines::TOO_MANY_ELEMENTS;
use super::options::Options;
use crate::errors::WRONG_TYPE;
use crate::list::End;
use crate::zset::{Selection, Span};
use crate::{Classes, CommandError, EvalError, Kind, Txn};

/// The most bytes of elements that a command holds to sort them.
const SORT_BYTES_MAX: usize = 64 << 20;
/// Bytes that an element takes beside its own.
const ELEMENT_BYTES: usize = 32;

/// The type of the collection to sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Absent,
    List,
    Set,
    SortedSet,
}

impl Source {
    /// Errors: `WRONG_TYPE`.
    pub(super) fn of(txn: &mut Txn<'_>, key: &Bytes) -> Result<Self, EvalError> {
        let Some(value) = txn.value(key)? else {
            return Ok(Self::Absent);
        };
        match value.kind() {
            Kind::List => Ok(Self::List),
            Kind::Set => Ok(Self::Set),
            Kind::SortedSet => Ok(Self::SortedSet),
            Kind::String | Kind::Hash | Kind::Stream => Err(WRONG_TYPE.into()),
        }
    }
}

/// The elements to sort; where they are not to be sorted, those within the limits, in their own
/// order. Errors: `TOO_MANY_ELEMENTS`.
pub(super) fn elements_of(
    txn: &mut Txn<'_>,
    key: &Bytes,
    source: Source,
    options: &Options,
) -> Result<Vec<Bytes>, EvalError> {
    let mut held = Held::default();
    let (offset, count, down) = match options.is_unsorted {
        true => (options.offset, options.count, options.is_descending),
        false => (0, None, false),
    };
    let count = count.unwrap_or(usize::MAX);
    match source {
        Source::Absent => {}
        Source::List => {
            let list = txn.list(key)?;
            let from = match down {
                true => (list.len() - 1).checked_sub(offset as u64),
                false => Some(offset as u64),
            };
            if let Some(from) = from
                && count > 0
            {
                let towards = if down { End::Left } else { End::Right };
                list.scan(txn, from, towards, &mut |_, _, element| {
                    held.push(element)?;
                    Ok(held.elements.len() < count)
                })?;
            }
        }
        // The order of a set is nobody's, so it has no direction.
        Source::Set => {
            let mut passed = 0;
            txn.set(key)?.each(txn, &mut |_, member| {
                passed += 1;
                if passed > offset && held.elements.len() < count {
                    held.push(member)?;
                }
                Ok(held.elements.len() < count)
            })?;
        }
        Source::SortedSet => {
            let selection = Selection {
                down,
                offset: offset as u64,
                count: count as u64,
                ..Selection::of(Span::All)
            };
            txn.zset(key)?.walk(txn, &selection, &mut |_, item| {
                held.push(item.member)?;
                Ok(true)
            })?;
        }
    }
    Ok(held.elements)
}

/// Stores a list of these elements in place of what the key holds; without any, the key is removed.
/// Errors: `COLLECTION_TOO_LARGE`.
pub(super) fn store(txn: &mut Txn<'_>, key: &Bytes, elements: &[Bytes]) -> Result<(), EvalError> {
    if !elements.is_empty() {
        txn.restore_list(key, elements, None)?;
        txn.notify(Classes::LIST, "sortstore", key);
        return Ok(());
    }
    if txn.exists(key)? {
        txn.remove(key.clone())?;
    }
    Ok(())
}

/// Elements in memory, not more than may be held.
#[derive(Default)]
struct Held {
    elements: Vec<Bytes>,
    bytes: usize,
}

impl Held {
    fn push(&mut self, element: Bytes) -> Result<(), CommandError> {
        self.bytes += element.len() + ELEMENT_BYTES;
        if self.bytes > SORT_BYTES_MAX {
            return Err(TOO_MANY_ELEMENTS);
        }
        self.elements.push(element);
        Ok(())
    }
}
