//! Putting elements with a deadline.

use bytes::Bytes;
use coterie_types::UnixMillis;

use super::words::{Deadline, Options};
use crate::txn::members::Members;
use crate::{EvalError, Txn};

/// A collection whose elements may be put with a deadline.
pub(crate) trait Put {
    /// Words of an element.
    const WORDS: usize;

    fn members(&mut self) -> &mut Members;

    /// Puts an element in place of an old one.
    fn put(
        &mut self,
        txn: &mut Txn<'_>,
        element: &[Bytes],
        deadline: Option<UnixMillis>,
    ) -> Result<(), EvalError>;
}

/// Puts the elements of `HSETEX` or `SADDEX`; returns whether the condition was met. Elements whose
/// deadline has passed are removed.
pub(crate) fn put<T: Put>(
    txn: &mut Txn<'_>,
    options: &Options<'_>,
    collection: &mut T,
) -> Result<bool, EvalError> {
    let elements = || options.elements.chunks_exact(T::WORDS);
    if options.all_exist || options.none_exists {
        for element in elements() {
            let exists = collection.members().get(txn, &element[0])?.is_some();
            if exists != options.all_exist {
                return Ok(false);
            }
        }
    }
    for element in elements() {
        let deadline = match options.deadline {
            Deadline::At(at) if at <= txn.now() => {
                collection.members().remove(txn, &element[0])?;
                continue;
            }
            Deadline::At(at) => Some(at),
            Deadline::Keep => {
                let old = collection.members().get(txn, &element[0])?;
                old.and_then(|old| old.deadline)
            }
            Deadline::Unsaid | Deadline::Drop => None,
        };
        collection.put(txn, element, deadline)?;
    }
    Ok(true)
}
