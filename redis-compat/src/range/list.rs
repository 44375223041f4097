//! Listing and counting the keys of an interval.

use bytes::Bytes;
use coterie_types::KeyRange;

use super::bounds::bounds;
use crate::command::{Command, Part, Topic, command};
use crate::errors::SYNTAX;
use crate::{Args, CommandError, EvalError, Flags as F, Header, Kind, Reply, Txn, glob};

pub(super) const PART: Part = Part::new(&[SCAN, KEYS, COUNT], &[]);

/// Records of a page of a walk: the limit that the proxy gives `_KEYS` and `_COUNT`.
pub const PAGE_RECORDS: usize = 2_000;
/// Bytes of keys that a page of `_KEYS` lists, about.
pub const PAGE_BYTES: usize = 512 << 10;
/// Bytes of keys after which `_SCAN` ends early.
const SCAN_BYTES_MAX: usize = 4 << 20;

const SCAN: Command = command(Topic::Coterie, "_scan")
    .syntax("start:key end:key count [MATCH pattern] [TYPE type] [AFTER key]")
    .flags(F::INTERNAL_READ)
    .over_interval()
    .runs(scan)
    .docs(
        "0.1.0",
        "O(count)",
        "Lists keys of an interval, up to a number of records.",
    );

/// `_SCAN start end count [MATCH pattern] [TYPE type] [AFTER key]`: `[next, [key ...], visited]`.
///
/// Visits at most `count` records, from `start` or, if given, from behind `key`, and fewer when the
/// listed keys come to 4 MiB; `next` is the key to start from the next time, null at the end of the
/// interval; `visited` is the number of records visited. A pattern that begins with plain bytes
/// narrows the visit to keys that begin so. O(count). Errors: `NOT_AN_INTEGER`, `SYNTAX`.
fn scan(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let mut bounds = bounds(txn, args);
    let count = match args.int(3)? {
        count @ 1.. => count as usize,
        _ => return Err(SYNTAX.into()),
    };
    let filter = Filter::parse(args, &mut bounds)?;
    let mut keys = Vec::new();
    let mut next = Reply::Null;
    let (mut visited, mut bytes) = (0, 0);
    txn.scan_live(&bounds, &mut |key, header, live| {
        if visited == count || bytes >= SCAN_BYTES_MAX {
            next = Reply::Bulk(Bytes::copy_from_slice(key));
            return false;
        }
        visited += 1;
        if live && filter.passes(key, header.kind) {
            bytes += key.len();
            keys.push(Reply::Bulk(Bytes::copy_from_slice(key)));
        }
        true
    })?;
    let visited = Reply::Integer(visited as i64);
    Ok(Reply::Array(vec![next, Reply::Array(keys), visited]))
}

const KEYS: Command = command(Topic::Coterie, "_keys")
    .syntax("start:key end:key pattern [limit]")
    .flags(F::INTERNAL_READ)
    .over_interval()
    .runs(keys)
    .docs(
        "0.1.0",
        "O(n)",
        "Lists the keys of an interval that match a pattern.",
    );

/// `_KEYS start end pattern [limit]`: every key that fits. O(n), n being the keys that begin as the
/// pattern.
///
/// With a limit, `[next, [key ...]]` as [`scan`]: at most so many records are visited, and the
/// page ends with the key that fills [`PAGE_BYTES`]. Errors: `NOT_AN_INTEGER`, `SYNTAX`.
fn keys(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let mut bounds = bounds(txn, args);
    let limit = limit(args, 4)?;
    let filter = Filter::by_pattern(args.bytes(3), &mut bounds);
    let (mut keys, mut bytes) = (Vec::new(), 0);
    let next = visit_page(txn, &bounds, limit, &mut |key, header| {
        if filter.passes(key, header.kind) {
            bytes += key.len();
            keys.push(Reply::Bulk(Bytes::copy_from_slice(key)));
        }
        limit.is_none() || bytes < PAGE_BYTES
    })?;
    let keys = Reply::Array(keys);
    Ok(match limit {
        None => keys,
        Some(_) => Reply::Array(vec![Reply::bulk_or_null(next), keys]),
    })
}

const COUNT: Command = command(Topic::Coterie, "_count")
    .syntax("start:key end:key [limit]")
    .flags(F::INTERNAL_READ)
    .over_interval()
    .runs(count)
    .docs("0.1.0", "O(n)", "Counts the keys of an interval.");

/// `_COUNT start end [limit]`: how many keys are there. O(n).
///
/// With a limit, `[next, count]`: at most so many records are visited. Errors: `NOT_AN_INTEGER`,
/// `SYNTAX`.
fn count(txn: &mut Txn<'_>, args: &Args<'_>) -> Result<Reply, EvalError> {
    let bounds = bounds(txn, args);
    let limit = limit(args, 3)?;
    let mut count = 0;
    let next = visit_page(txn, &bounds, limit, &mut |_, _| {
        count += 1;
        true
    })?;
    let count = Reply::Integer(count);
    Ok(match limit {
        None => count,
        Some(_) => Reply::Array(vec![Reply::bulk_or_null(next), count]),
    })
}

/// The word that says how many records are visited at most.
fn limit(args: &Args<'_>, at: usize) -> Result<Option<usize>, CommandError> {
    if args.len() <= at {
        return Ok(None);
    }
    match (args.int(at)?, args.len() - at) {
        (limit @ 1.., 1) => Ok(Some(limit as usize)),
        _ => Err(SYNTAX),
    }
}

/// Visits keys that are there, up to `limit` records, or until `visit` returns false; the key to
/// start from the next time, `None` at the end of the interval.
fn visit_page(
    txn: &mut Txn<'_>,
    bounds: &KeyRange,
    limit: Option<usize>,
    visit: &mut dyn FnMut(&[u8], Header) -> bool,
) -> Result<Option<Bytes>, EvalError> {
    let mut left = limit.unwrap_or(usize::MAX);
    let mut next = None;
    txn.scan_live(bounds, &mut |key, header, live| {
        if left == 0 {
            next = Some(Bytes::copy_from_slice(key));
            return false;
        }
        left -= 1;
        if live && !visit(key, header) {
            // The next record is where the visit ends.
            left = 0;
        }
        true
    })?;
    Ok(next)
}

/// Which keys are listed.
#[derive(Default)]
struct Filter<'a> {
    pattern: Option<&'a Bytes>,
    kind: Option<&'a Bytes>,
}

impl<'a> Filter<'a> {
    fn parse(args: &Args<'a>, bounds: &mut KeyRange) -> Result<Self, CommandError> {
        let mut filter = Self::default();
        let mut pattern = None;
        let mut words = args.options(4);
        while let Some(word) = words.next() {
            match word.keyword().as_str() {
                "match" => pattern = Some(words.value()?),
                "type" => filter.kind = Some(words.value()?),
                "after" => {
                    // The least key above `value` is `value` and a zero byte.
                    let after: Bytes = [words.value()?, &b"\0"[..]].concat().into();
                    bounds.start = after.max(bounds.start.clone());
                }
                _ => return Err(SYNTAX),
            }
        }
        // The last pattern counts, and it alone narrows the visit.
        if let Some(pattern) = pattern {
            filter.pattern = Self::by_pattern(pattern, bounds).pattern;
        }
        Ok(filter)
    }

    /// Filters by a pattern, and narrows `bounds` to the keys that can fit it.
    fn by_pattern(pattern: &'a Bytes, bounds: &mut KeyRange) -> Self {
        narrow(bounds, &glob::literal_prefix(pattern));
        Self {
            pattern: (pattern.as_ref() != b"*").then_some(pattern),
            kind: None,
        }
    }

    fn passes(&self, key: &[u8], found: Kind) -> bool {
        self.pattern
            .is_none_or(|pattern| glob::matches(pattern, key))
            && self
                .kind
                .is_none_or(|kind| kind.eq_ignore_ascii_case(found.name().as_bytes()))
    }
}

/// Leaves of an interval the keys that begin with `prefix`.
pub(super) fn narrow(bounds: &mut KeyRange, prefix: &[u8]) {
    bounds.start = Bytes::copy_from_slice(prefix).max(bounds.start.clone());
    bounds.end = match (successor(prefix), bounds.end.take()) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
}

/// The first key behind all that begin with `prefix`; `None` if there is no key.
fn successor(prefix: &[u8]) -> Option<Bytes> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut next = prefix[..=last].to_vec();
    next[last] += 1;
    Some(Bytes::from(next))
}

#[cfg(test)]
mod tests {
    use super::successor;

    #[test]
    fn the_successor_is_behind_every_key_with_the_prefix() {
        assert_eq!(successor(b"ab").as_deref(), Some(&b"ac"[..]));
        assert_eq!(successor(b"a\xff\xff").as_deref(), Some(&b"b"[..]));
        assert_eq!(successor(b"\xff"), None);
        assert_eq!(successor(b""), None);
    }
}
