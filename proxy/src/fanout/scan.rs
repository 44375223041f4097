//! `SCAN`: a page of keys in key order, and where the next one begins.
//!
//! Each page is answered by one range, except where keys share a number (`cursor`). A page must end
//! between two numbers: what was read beyond the last such place is left for the next page, and if
//! there is none on the page, it goes on to the end of the keys that share the number, across
//! ranges if need be. So every key that is there throughout is returned exactly once.

use bytes::Bytes;
use coterie_redis_compat::{CommandError, Reply};
use coterie_types::TableId;

use super::Calls;
use super::calls::{Interval, unreadable};
use super::cursor::{code, code_in, cursor, start_of};
use crate::conn::{array_items, bulk};

/// Keys asked for at once when a page goes on past its count.
const MORE: usize = 1000;

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scan {
    pub(crate) cursor: u64,
    /// How many keys to look at.
    pub(crate) count: usize,
    /// `MATCH pattern` and `TYPE type`, as they are passed on.
    pub(crate) filter: Vec<Bytes>,
}

/// One page.
pub(crate) async fn scan(
    calls: &Calls,
    table: TableId,
    scan: &Scan,
) -> Result<Reply, CommandError> {
    let start = match scan.cursor {
        0 => Some(Bytes::new()),
        cursor => start_of(code_in(cursor)),
    };
    let Some(start) = start else {
        return Ok(page(0, Vec::new()));
    };
    let (mut keys, next) = read(calls, table, (start.clone(), None), scan.count, scan).await?;
    let Some(next) = next else {
        return Ok(page(0, keys));
    };
    let next_code = code(&next);
    let cut = start_of(next_code).unwrap_or_default();
    if cut > start {
        keys.retain(|key| *key < cut);
        return Ok(page(cursor(next_code), keys));
    }
    // All of the page, and what follows, shares one number: up to the end of it.
    let end = start_of(next_code + 1);
    let mut rest = Some(next);
    while let Some(start) = rest {
        let more = read(calls, table, (start, end.clone()), MORE, scan).await?;
        keys.extend(more.0);
        rest = more
            .1
            .filter(|next| end.as_ref().is_none_or(|end| next < end));
    }
    let last = end.map_or(0, |_| cursor(next_code + 1));
    Ok(page(last, keys))
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

fn page(cursor: u64, keys: Vec<Bytes>) -> Reply {
    let keys = keys.into_iter().map(Reply::Bulk).collect();
    let cursor = Bytes::from(cursor.to_string());
    Reply::Array(vec![Reply::Bulk(cursor), Reply::Array(keys)])
}
