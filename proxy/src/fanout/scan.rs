//! `SCAN`: a page of keys in key order, and where the next one begins.
//!
//! Each page is answered by one range. It must end at a place that a cursor can name (`cursor`);
//! what was read behind the last such place is left for the next page. If there is none on the page,
//! as its keys have a long beginning in common, that beginning gets a number (`prefixes`). Should
//! that fail, the page goes on to the next place that can be named, however far that is. So every
//! key that is there throughout is returned exactly once.

use bytes::Bytes;
use coterie_redis_compat::{CommandError, Reply};
use coterie_types::TableId;

use super::calls::{Interval, unreadable};
use super::cursor::{Cursor, PLAIN, WITHIN, successor};
use super::{Calls, Prefixes};
use crate::conn::{array_items, bulk};

/// Keys asked for at once when a page goes on past its count.
const MORE: usize = 1000;
/// Prefixes are as long as a multiple of this, so that the same ones serve many places.
const PREFIX_STEP: usize = 4;

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scan {
    pub(crate) cursor: u64,
    /// How many keys to look at.
    pub(crate) count: usize,
    /// `MATCH pattern` and `TYPE type`, as they are passed on.
    pub(crate) filter: Vec<Bytes>,
}

/// A place that a cursor names: nothing from `key` on was returned.
struct Place {
    cursor: Cursor,
    key: Bytes,
}

/// One page.
pub(crate) async fn scan(
    calls: &Calls,
    prefixes: &Prefixes<'_>,
    table: TableId,
    scan: &Scan,
) -> Result<Reply, CommandError> {
    // No page ever ended there, but Redis takes any number.
    let Some(cursor) = Cursor::from_number(scan.cursor) else {
        return Ok(page(Cursor::Start, Vec::new()));
    };
    let Some(start) = start(prefixes, table, cursor).await? else {
        return Ok(page(Cursor::Start, Vec::new()));
    };
    let (mut keys, next) = read(calls, table, (start.clone(), None), scan.count, scan).await?;
    let Some(next) = next else {
        return Ok(page(Cursor::Start, keys));
    };
    let mut place = last_place(prefixes, table, &next);
    let first = keys.first().unwrap_or(&start);
    if place.key <= *first
        && let Some(better) = new_place(prefixes, table, first, &next).await
    {
        place = better;
    }
    if place.key > start {
        keys.retain(|key| *key < place.key);
        return Ok(page(place.cursor, keys));
    }
    go_on(calls, table, scan, keys, next).await
}

/// The first key that was not returned yet; `None` if there is none.
async fn start(
    prefixes: &Prefixes<'_>,
    table: TableId,
    cursor: Cursor,
) -> Result<Option<Bytes>, CommandError> {
    match cursor {
        Cursor::Start => Ok(Some(Bytes::new())),
        Cursor::Plain(code) => Ok(PLAIN.start_of(code)),
        Cursor::Within { prefix, code } => {
            let prefix = prefixes.named(prefix, table).await.ok_or_else(|| {
                let reason = "the cursor's prefix is not known here, and meta does not answer";
                CommandError::TryAgain(reason.to_owned())
            })?;
            Ok(match WITHIN.start_of(code) {
                Some(rest) => Some([prefix, rest].concat().into()),
                None => successor(&prefix),
            })
        }
    }
}

/// The last place at or before `key` that a cursor can name.
fn last_place(prefixes: &Prefixes<'_>, table: TableId, key: &[u8]) -> Place {
    let code = PLAIN.code(key);
    let plain = Place {
        cursor: Cursor::Plain(code),
        key: PLAIN.start_of(code).unwrap_or_default(),
    };
    let within = prefixes.of_key(table, key).into_iter();
    let within = within.map(|(number, prefix)| place_within(number, &prefix, key));
    within
        .chain([plain])
        .max_by(|a, b| a.key.cmp(&b.key))
        .unwrap_or(Place {
            cursor: Cursor::Start,
            key: Bytes::new(),
        })
}

/// The last place at or before `key`, which begins with `prefix`, among the keys that do.
fn place_within(number: u16, prefix: &[u8], key: &[u8]) -> Place {
    let code = WITHIN.code(&key[prefix.len()..]);
    let rest = WITHIN.start_of(code).unwrap_or_default();
    Place {
        cursor: Cursor::Within {
            prefix: number,
            code,
        },
        key: [prefix, rest.as_ref()].concat().into(),
    }
}

/// A place behind `first` and not behind `next`, with a prefix numbered for it: the shortest one
/// that will do, as it serves the most places.
async fn new_place(
    prefixes: &Prefixes<'_>,
    table: TableId,
    first: &[u8],
    next: &[u8],
) -> Option<Place> {
    let common = first.iter().zip(next).take_while(|(a, b)| a == b).count();
    let prefix = (PREFIX_STEP..=common)
        .step_by(PREFIX_STEP)
        .map(|len| &next[..len])
        .find(|prefix| place_within(0, prefix, next).key > *first)?;
    let number = prefixes.number(table, prefix).await?;
    Some(place_within(number, prefix, next))
}

/// All of the page, and what follows, shares one number: the page goes on to the end of those.
async fn go_on(
    calls: &Calls,
    table: TableId,
    scan: &Scan,
    mut keys: Vec<Bytes>,
    next: Bytes,
) -> Result<Reply, CommandError> {
    let code = PLAIN.code(&next) + 1;
    let end = PLAIN.start_of(code);
    let mut rest = Some(next);
    while let Some(start) = rest {
        let more = read(calls, table, (start, end.clone()), MORE, scan).await?;
        keys.extend(more.0);
        rest = more
            .1
            .filter(|next| end.as_ref().is_none_or(|end| next < end));
    }
    let cursor = end.map_or(Cursor::Start, |_| Cursor::Plain(code));
    Ok(page(cursor, keys))
}

/// Reads from the first owner of an interval: keys, and from where to go on.
async fn read(
    calls: &Calls,
    table: TableId,
    interval: Interval,
    count: usize,
    scan: &Scan,
) -> Result<(Vec<Bytes>, Option<Bytes>), CommandError> {
    let words = |start, end| {
        let count = Bytes::from(count.to_string());
        let mut words = vec![Bytes::from_static(b"_scan"), start, end, count];
        words.extend_from_slice(&scan.filter);
        words
    };
    let ((_, end), reply) = calls.first(table, interval, true, &words).await?;
    let items = array_items(&reply).ok_or_else(unreadable)?;
    let [next, keys] = items.as_slice() else {
        return Err(unreadable());
    };
    let keys = array_items(keys).ok_or_else(unreadable)?;
    let keys = keys.iter().map(|key| bulk(key).flatten());
    let keys = keys.collect::<Option<Vec<_>>>().ok_or_else(unreadable)?;
    // Nothing more here: the next owner begins where this one ends.
    let next = bulk(next).ok_or_else(unreadable)?.or(end);
    Ok((keys, next))
}

fn page(cursor: Cursor, keys: Vec<Bytes>) -> Reply {
    let keys = keys.into_iter().map(Reply::Bulk).collect();
    let cursor = Bytes::from(cursor.number().to_string());
    Reply::Array(vec![Reply::Bulk(cursor), Reply::Array(keys)])
}
