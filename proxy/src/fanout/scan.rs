//! `SCAN`: a page of keys in key order, and the cursor of the next page.
//!
//! A page visits COUNT records, range after range, and ends where a cursor can express it. Most
//! ends have a code (`cursor`). Where several keys share the code of the end, because they have a
//! long prefix in common, the page continues to the last of them. When those are too many for a
//! page of twice COUNT, the first key that was not returned is kept (`places`) and the cursor names
//! it. So every key that exists throughout the scan is returned exactly once.

use std::time::{Duration, Instant};

use bytes::Bytes;
use coterie_redis_compat::acl::User;
use coterie_redis_compat::{CommandError, Reply};
use coterie_types::TableId;

use super::calls::{Interval, unreadable};
use super::cursor::{CODER, Cursor};
use super::frames::by_owner;
use super::{Calls, ScanPlaces};
use crate::conn::{array_items, bulk, integer};

/// Most records that a group visits in a call; a larger COUNT is visited piece by piece.
const VISITED_AT_ONCE_MAX: usize = 10_000;
/// Most ranges asked at the same time, once the ranges before them were shorter than the page.
const AHEAD_MAX: usize = 32;
/// Most ranges of a page: with a MATCH most of them may have nothing to return.
const RANGES_MAX: usize = 1024;
/// How long a page continues to further ranges or pieces.
const TIME_MAX: Duration = Duration::from_millis(250);
/// Bytes of keys after which a page ends early.
const BYTES_MAX: usize = 8 << 20;

/// A client's request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scan {
    pub(crate) cursor: u64,
    /// Number of records to visit.
    pub(crate) count: usize,
    /// `MATCH pattern` and `TYPE type`, as they are passed on.
    pub(crate) filter: Vec<Bytes>,
}

/// Reads a page.
pub(crate) async fn scan(
    calls: &Calls,
    places: &ScanPlaces,
    table: TableId,
    scan: &Scan,
    seen_by: Option<&User>,
) -> Result<Reply, CommandError> {
    // No page ever ended there, but Redis takes any number.
    let Some(cursor) = Cursor::from_number(scan.cursor) else {
        return Ok(reply(Cursor::Start, Vec::new()));
    };
    let start = match cursor {
        Cursor::Start => Some(Bytes::new()),
        Cursor::Code(code) => CODER.start_of(code),
        Cursor::Kept(number) => places.find(calls, table, number).await,
    };
    let Some(start) = start else {
        return Ok(reply(Cursor::Start, Vec::new()));
    };
    let page = Page {
        calls,
        table,
        scan,
        seen_by,
        start,
        keys: Vec::new(),
        bytes: 0,
        visited: 0,
    };
    page.read(places, cursor).await
}

/// A page under construction.
struct Page<'a> {
    calls: &'a Calls,
    table: TableId,
    scan: &'a Scan,
    /// A user who may see the names of some keys only.
    seen_by: Option<&'a User>,
    /// The first key to return.
    start: Bytes,
    keys: Vec<Bytes>,
    bytes: usize,
    /// Records that groups have visited, returned or not.
    visited: usize,
}

/// The result of a group's visit to an interval.
struct Visit {
    keys: Vec<Bytes>,
    visited: usize,
    /// The first key that was not visited; `None` at the end of the table.
    next: Option<Bytes>,
    /// Whether the interval was visited to its end.
    is_whole: bool,
}

impl Page<'_> {
    async fn read(mut self, places: &ScanPlaces, from: Cursor) -> Result<Reply, CommandError> {
        let Some(next) = self.fill().await? else {
            return Ok(self.reply(Cursor::Start));
        };
        if let Some(cursor) = self.end_with_code(&next) {
            return Ok(self.reply(cursor));
        }
        // Keys before `next` were returned, and keys from there on share its code.
        let code = CODER.code(&next) + 1;
        let end = CODER.start_of(code);
        let count = self
            .scan
            .count
            .saturating_mul(2)
            .saturating_sub(self.visited);
        let interval = (next.clone(), end.clone());
        let visit = self.visit_first(interval, count.max(1)).await?;
        let reached = visit.next.clone();
        self.take(visit);
        let cursor = match reached {
            None => Cursor::Start,
            next if next == end => Cursor::Code(code),
            Some(next) => match self.end_with_code(&next) {
                Some(cursor) => cursor,
                None => {
                    let number = places.keep(self.calls, self.table, &next, from).await?;
                    Cursor::Kept(number)
                }
            },
        };
        Ok(self.reply(cursor))
    }

    /// The keys that the user may see; the others were visited all the same.
    fn reply(mut self, cursor: Cursor) -> Reply {
        if let Some(user) = self.seen_by {
            self.keys.retain(|key| user.may_see(key));
        }
        reply(cursor, self.keys)
    }

    /// The cursor of a page that ends before `next`, if the code of `next` can express that: no key
    /// of the page has that code, and the next page begins after the start of this page.
    fn end_with_code(&self, next: &Bytes) -> Option<Cursor> {
        let code = CODER.code(next);
        let start = CODER.start_of(code)?;
        let is_behind = self.keys.last().is_none_or(|last| *last < start);
        (start > self.start && is_behind).then_some(Cursor::Code(code))
    }

    /// Visits COUNT records, range after range. Returns the first key that was not visited; `None`
    /// at the end of the table. Ends early if that takes long or the keys are large.
    async fn fill(&mut self) -> Result<Option<Bytes>, CommandError> {
        let began = Instant::now();
        let (mut next, mut ahead, mut ranges) = (self.start.clone(), 1, 0);
        loop {
            let count = (self.scan.count - self.visited).min(VISITED_AT_ONCE_MAX);
            let mut all_whole = true;
            for visit in self.visit_several(next.clone(), ahead, count).await? {
                ranges += 1;
                all_whole = visit.is_whole;
                let reached = visit.next.clone();
                self.take(visit);
                match reached {
                    Some(reached) => next = reached,
                    None => return Ok(None),
                }
                if !all_whole || self.visited >= self.scan.count {
                    break;
                }
            }
            if self.visited >= self.scan.count
                || self.bytes >= BYTES_MAX
                || ranges >= RANGES_MAX
                || began.elapsed() >= TIME_MAX
            {
                return Ok(Some(next));
            }
            // Each range costs a call, so ranges with few records are asked many at a time.
            ahead = if all_whole {
                (2 * ahead).min(AHEAD_MAX)
            } else {
                1
            };
        }
    }

    fn take(&mut self, visit: Visit) {
        self.bytes += visit.keys.iter().map(Bytes::len).sum::<usize>();
        self.visited += visit.visited;
        self.keys.extend(visit.keys);
    }

    /// Visits the next ranges from `start` on: at most `ranges`, and up to `count` records in each.
    async fn visit_several(
        &self,
        start: Bytes,
        ranges: usize,
        count: usize,
    ) -> Result<Vec<Visit>, CommandError> {
        let map = self.calls.router.cache.load();
        let rest = (start.clone(), None);
        let (pieces, _) = match ranges {
            1 => (Vec::new(), None),
            _ => by_owner(&map, self.table, rest.clone(), ranges),
        };
        let words = |start, end| self.words(start, end, count);
        let answers = self.calls.in_frames(&map, &pieces, true, &words).await?;
        let answers = pieces.into_iter().zip(answers);
        // The ranges behind a piece without an answer are visited later.
        let answers = answers.map_while(|(piece, answer)| Some((piece.interval, answer?)));
        let visits: Vec<Visit> = answers
            .map(|(interval, answer)| visit_of(interval, &answer))
            .collect::<Result<_, _>>()?;
        if visits.is_empty() {
            return Ok(vec![self.visit_first(rest, count).await?]);
        }
        Ok(visits)
    }

    /// Visits up to `count` records of an interval's part that belongs to its first owner.
    async fn visit_first(&self, interval: Interval, count: usize) -> Result<Visit, CommandError> {
        let words = |start, end| self.words(start, end, count);
        let first = self.calls.first(self.table, interval, true, &words);
        let (interval, answer) = first.await?;
        visit_of(interval, &answer)
    }

    fn words(&self, start: Bytes, end: Bytes, count: usize) -> Vec<Bytes> {
        let count = Bytes::from(count.min(VISITED_AT_ONCE_MAX).to_string());
        let mut words = vec![Bytes::from_static(b"_scan"), start, end, count];
        words.extend_from_slice(&self.scan.filter);
        words
    }
}

/// Decodes a group's reply to `_scan`.
fn visit_of((_, end): Interval, answer: &Bytes) -> Result<Visit, CommandError> {
    let items = array_items(answer).ok_or_else(unreadable)?;
    let [next, keys, visited] = items.as_slice() else {
        return Err(unreadable());
    };
    let keys = array_items(keys).ok_or_else(unreadable)?;
    let keys = keys.iter().map(|key| bulk(key).flatten());
    let keys = keys.collect::<Option<Vec<_>>>().ok_or_else(unreadable)?;
    let visited = integer(visited).and_then(|visited| usize::try_from(visited).ok());
    let next = bulk(next).ok_or_else(unreadable)?;
    Ok(Visit {
        keys,
        visited: visited.ok_or_else(unreadable)?,
        is_whole: next.is_none(),
        // This interval has no more: the next owner's part begins at its end.
        next: next.or(end),
    })
}

fn reply(cursor: Cursor, keys: Vec<Bytes>) -> Reply {
    let keys = keys.into_iter().map(Reply::Bulk).collect();
    let cursor = Bytes::from(cursor.number().to_string());
    Reply::Array(vec![Reply::Bulk(cursor), Reply::Array(keys)])
}
