//! Counts the keys of a table: asks the owners of every interval, several at a time.
//!
//! Callers: `DBSIZE`, and `key_counts`, which keeps counts for a while.

use bytes::Bytes;
use coterie_redis_compat::CommandError;
use coterie_types::TableId;
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::Calls;
use super::calls::{CONCURRENT, Interval, unreadable};
use super::pages::Pages;
use crate::conn::integer;

/// An interval and the number of its keys.
pub(crate) type Counted = (Interval, u64);

/// Counts the keys of a table, interval by interval.
pub(crate) async fn count(calls: &Calls, table: TableId) -> Result<Vec<Counted>, CommandError> {
    let words = |start, end| vec![Bytes::from_static(b"_count"), start, end];
    let intervals = calls.intervals(table).into_iter().map(async |interval| {
        let (mut pages, mut counted) = (Pages::new(calls, table, interval, &words), Vec::new());
        while let Some(page) = pages.next().await? {
            let keys = integer(&page.reply).and_then(|keys| u64::try_from(keys).ok());
            add(&mut counted, page.asked, keys.ok_or_else(unreadable)?);
        }
        Ok::<_, CommandError>(counted)
    });
    let counted: Vec<Vec<Counted>> = stream::iter(intervals)
        .buffered(CONCURRENT)
        .try_collect()
        .await?;
    Ok(counted.into_iter().flatten().collect())
}

/// Adds the count of a page. The next page of an interval begins within the interval of this page.
fn add(counted: &mut Vec<Counted>, asked: Interval, keys: u64) {
    match counted.last_mut() {
        Some(((_, end), before)) if *end == asked.1 => *before += keys,
        _ => counted.push((asked, keys)),
    }
}
