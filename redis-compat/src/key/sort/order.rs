//! The order of the elements: by numbers or bytes, their own or those under keys that they name.

use std::cmp::Ordering;

use bytes::Bytes;

use super::lines::NO_NUMBER;
use super::options::Options;
use crate::zset::parse_weight;
use crate::{EvalError, Txn};

/// An element, and the value that orders it.
struct Entry<W> {
    element: Bytes,
    weight: W,
}

/// The elements in order, within the limits. Errors: `NO_NUMBER`, `FOREIGN_KEY`.
pub(super) fn sorted(
    txn: &mut Txn<'_>,
    elements: Vec<Bytes>,
    options: &Options,
) -> Result<Vec<Bytes>, EvalError> {
    if options.is_alpha {
        let entries = weighed(txn, elements, options, &|value| Ok(Some(value)))?;
        // An element without a value is before all others.
        return Ok(put_in_order(entries, options, |a, b| {
            seen(options, &a.weight).cmp(&seen(options, &b.weight))
        }));
    }
    let number = |value: Bytes| parse_weight(&value).ok_or(NO_NUMBER.into());
    let entries = weighed(txn, elements, options, &number)?;
    Ok(put_in_order(entries, options, |a, b| {
        let by_number = a.weight.partial_cmp(&b.weight).unwrap_or(Ordering::Equal);
        by_number.then_with(|| a.element.cmp(&b.element))
    }))
}

/// The bytes that Redis compares: up to the first NUL, unless the elements are stored.
fn seen<'w>(options: &Options, weight: &'w Option<Bytes>) -> Option<&'w [u8]> {
    let bytes = weight.as_deref()?;
    match options.store {
        Some(_) => Some(bytes),
        None => bytes.split(|byte| *byte == 0).next(),
    }
}

/// The elements with their weights; where a pattern names nothing, with the least.
fn weighed<W: Default>(
    txn: &mut Txn<'_>,
    elements: Vec<Bytes>,
    options: &Options,
    weight: &dyn Fn(Bytes) -> Result<W, EvalError>,
) -> Result<Vec<Entry<W>>, EvalError> {
    let weigh = |element: Bytes| {
        let value = match &options.by {
            Some(pattern) => pattern.value(txn, &element)?,
            None => Some(element.clone()),
        };
        let weight = value.map(weight).transpose()?.unwrap_or_default();
        Ok(Entry { element, weight })
    };
    elements.into_iter().map(weigh).collect()
}

fn put_in_order<W>(
    mut entries: Vec<Entry<W>>,
    options: &Options,
    compare: impl Fn(&Entry<W>, &Entry<W>) -> Ordering,
) -> Vec<Bytes> {
    if options.is_descending {
        entries.sort_by(|a, b| compare(b, a));
    } else {
        entries.sort_by(compare);
    }
    let count = options.count.unwrap_or(usize::MAX);
    let wanted = entries.into_iter().skip(options.offset).take(count);
    wanted.map(|entry| entry.element).collect()
}
