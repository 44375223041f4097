//! Reads an interval of keys page by page. Each page is a short call, however many keys the
//! interval has. So no work is repeated because it took long, and the work stops when nobody waits
//! for it.

use bytes::Bytes;
use coterie_redis_compat::{CommandError, PAGE_RECORDS};
use coterie_types::TableId;

use super::Calls;
use super::calls::{Interval, Words, unreadable};
use crate::conn::{array_items, bulk};

/// The pages of an interval, in key order.
pub(super) struct Pages<'a> {
    calls: &'a Calls,
    table: TableId,
    /// The words of the command without the limit.
    words: Words<'a>,
    /// The rest of the interval; `None` after the last page.
    left: Option<Interval>,
}

/// An owner's reply for a part of an interval.
pub(super) struct Page {
    /// The interval that the owner was asked for.
    pub(super) asked: Interval,
    /// The second element of the owner's reply; the first is where to continue.
    pub(super) reply: Bytes,
}

impl<'a> Pages<'a> {
    pub(super) fn new(
        calls: &'a Calls,
        table: TableId,
        interval: Interval,
        words: Words<'a>,
    ) -> Self {
        Self {
            calls,
            table,
            words,
            left: Some(interval),
        }
    }

    /// The next page; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Page>, CommandError> {
        let Some((start, end)) = self.left.take() else {
            return Ok(None);
        };
        // Each page has the full time of a command: all of them may take as long as they make
        // progress.
        let calls = self.calls.anew();
        let words = |start, end| {
            let mut words = (self.words)(start, end);
            words.push(Bytes::from(PAGE_RECORDS.to_string()));
            words
        };
        let (asked, reply) = calls
            .first(self.table, (start, end.clone()), true, &words)
            .await?;
        let items = array_items(&reply).ok_or_else(unreadable)?;
        let [next, reply] = <[Bytes; 2]>::try_from(items).map_err(|_| unreadable())?;
        let next = bulk(&next).ok_or_else(unreadable)?.or(asked.1.clone());
        self.left = next
            .filter(|next| end.as_ref().is_none_or(|end| next < end))
            .map(|next| (next, end));
        Ok(Some(Page { asked, reply }))
    }
}
