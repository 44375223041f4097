//! The entries of a stream: adding, reading, deleting.

use std::ops::Bound;

use bytes::{Buf, Bytes};
use coterie_types::varint;

use super::Stream;
use super::body::{ENTRIES, corrupt, id_behind};
use super::id::StreamId;
use crate::{EvalError, Fault, Reply, Txn, Walk};

/// An entry as it is stored.
pub(super) struct Entry {
    pub(super) id: StreamId,
    /// The number of its node.
    pub(super) node: u64,
    /// Its fields and values, packed.
    rest: Bytes,
}

impl Entry {
    /// ```text
    /// varint      the number of its node
    /// varint      how many fields and values
    /// each        varint and bytes
    /// ```
    pub(super) fn pack(node: u64, words: &[Bytes]) -> Vec<u8> {
        let bytes: usize = words.iter().map(|word| word.len() + 3).sum();
        let mut out = Vec::with_capacity(bytes + 8);
        varint::put(&mut out, node);
        varint::put(&mut out, words.len() as u64);
        words
            .iter()
            .for_each(|word| varint::put_bytes(&mut out, word));
        out
    }

    pub(super) fn of(key: &[u8], mut value: Bytes) -> Result<Self, Fault> {
        Ok(Self {
            id: id_behind(key, &[])?,
            node: varint::take(&mut value).ok_or_else(corrupt)?,
            rest: value,
        })
    }

    /// Its fields and values.
    pub(super) fn words(&self) -> Result<Vec<Bytes>, Fault> {
        let mut rest = self.rest.clone();
        let count = varint::take(&mut rest).ok_or_else(corrupt)?;
        let words = (0..count).map(|_| varint::take_bytes(&mut rest));
        let words = words.collect::<Option<Vec<_>>>().ok_or_else(corrupt)?;
        if rest.has_remaining() {
            return Err(corrupt());
        }
        Ok(words)
    }

    /// The entry as a reply: its id, and its fields and values. Errors: `ReplyTooLong`.
    pub(super) fn reply(&self, txn: &mut Txn<'_>) -> Result<Reply, EvalError> {
        let words = self.words()?;
        txn.take_reply_room(40)?;
        for word in &words {
            txn.take_reply_room(word.len())?;
        }
        let words = words.into_iter().map(Reply::Bulk).collect();
        Ok(Reply::Array(vec![self.id.reply(), Reply::Array(words)]))
    }

    /// Bytes of its fields and values.
    pub(super) fn bytes(&self) -> usize {
        self.rest.len()
    }
}

/// An interval of ids, both ends included, and its direction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    pub(super) start: StreamId,
    pub(super) end: StreamId,
    pub(super) is_down: bool,
}

impl Range {
    pub(super) const ALL: Self = Self::up(StreamId::MIN, StreamId::MAX);

    pub(super) const fn up(start: StreamId, end: StreamId) -> Self {
        Self {
            start,
            end,
            is_down: false,
        }
    }

    pub(super) const fn down(self) -> Self {
        Self {
            is_down: true,
            ..self
        }
    }
}

impl Stream {
    /// Whether there is an entry behind `id`.
    pub(super) fn has_behind(&self, id: StreamId) -> bool {
        self.head.length > 0 && self.head.last_entry > id
    }

    /// Adds an entry of these fields and values, whose id is behind all others.
    pub(super) fn append(&mut self, txn: &mut Txn<'_>, id: StreamId, words: &[Bytes]) {
        let node = self.head.add(id, words);
        let value = Entry::pack(node, words);
        self.body.put(txn, ENTRIES, &id.to_bytes(), value);
    }

    /// The entry of this id.
    pub(super) fn entry(&self, txn: &Txn<'_>, id: StreamId) -> Result<Option<Entry>, Fault> {
        if !(self.head.first_entry..=self.head.last_entry).contains(&id) {
            return Ok(None);
        }
        let key = id.to_bytes();
        let value = self.body.get(txn, ENTRIES, &key)?;
        value.map(|value| Entry::of(&key, value)).transpose()
    }

    /// Some entries at the begin of a range: at most `max`, and no more than fill a page. The range
    /// then begins behind them.
    pub(super) fn entries(
        &self,
        txn: &Txn<'_>,
        range: &mut Range,
        max: usize,
    ) -> Result<Vec<Entry>, Fault> {
        let start = range.start.max(self.head.first_entry);
        let end = range.end.min(self.head.last_entry);
        if self.head.length == 0 || start > end {
            return Ok(Vec::new());
        }
        let (low, high) = (start.to_bytes(), end.to_bytes());
        let walk = if range.is_down {
            Walk::Down(Bound::Included(&high))
        } else {
            Walk::Up(Bound::Included(&low))
        };
        let page = self.body.page(txn, (ENTRIES, &[]), walk, max)?;
        let entries = page.into_iter().map(|(key, value)| Entry::of(&key, value));
        let mut entries = entries.collect::<Result<Vec<_>, _>>()?;
        entries.retain(|entry| (start..=end).contains(&entry.id));
        match entries.last().map(|entry| entry.id) {
            None => *range = Range::up(StreamId::MAX, StreamId::MIN),
            Some(last) if range.is_down => match last.previous() {
                Some(end) => range.end = end,
                None => range.start = StreamId::MAX,
            },
            Some(last) => match last.next() {
                Some(start) => range.start = start,
                None => range.end = StreamId::MIN,
            },
        }
        Ok(entries)
    }

    /// Visits the entries of a range, until `visit` returns false.
    pub(super) fn each_entry(
        &self,
        txn: &mut Txn<'_>,
        mut range: Range,
        max: usize,
        visit: &mut dyn FnMut(&mut Txn<'_>, Entry) -> Result<bool, EvalError>,
    ) -> Result<(), EvalError> {
        let mut left = max;
        while left > 0 {
            // A page is bounded by its bytes, too; most ranges are short.
            let page = self.entries(txn, &mut range, left.min(256))?;
            if page.is_empty() {
                return Ok(());
            }
            left -= page.len();
            for entry in page {
                if !visit(txn, entry)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The entries of a range as replies, at most `max`. Errors: `ReplyTooLong`.
    pub(super) fn replies(
        &self,
        txn: &mut Txn<'_>,
        range: Range,
        max: usize,
    ) -> Result<Vec<Reply>, EvalError> {
        let mut replies = Vec::new();
        self.each_entry(txn, range, max, &mut |txn, entry| {
            replies.push(entry.reply(txn)?);
            Ok(true)
        })?;
        Ok(replies)
    }

    /// Deletes the entry of this id; returns whether it was there. Pending entries stay.
    pub(super) fn delete(&mut self, txn: &mut Txn<'_>, id: StreamId) -> Result<bool, Fault> {
        let Some(entry) = self.entry(txn, id)? else {
            return Ok(false);
        };
        self.body.remove(txn, ENTRIES, &id.to_bytes());
        self.head.delete(id, entry.node, false);
        self.head.max_deleted = self.head.max_deleted.max(id);
        self.find_ends(txn, id, id)?;
        Ok(true)
    }

    /// The first and the last entry, after those from `first` to `last` were removed.
    pub(super) fn find_ends(
        &mut self,
        txn: &Txn<'_>,
        first: StreamId,
        last: StreamId,
    ) -> Result<(), Fault> {
        if self.head.length == 0 {
            (self.head.first_entry, self.head.last_entry) = (StreamId::MIN, StreamId::MIN);
            return Ok(());
        }
        let place = (ENTRIES, &[][..]);
        if self.head.first_entry >= first && self.head.first_entry <= last {
            let key = last.to_bytes();
            let walk = Walk::Up(Bound::Excluded(&key));
            let found = self.body.first_id(txn, place, walk)?;
            self.head.first_entry = found.ok_or_else(corrupt)?;
        }
        if self.head.last_entry >= first && self.head.last_entry <= last {
            let key = first.to_bytes();
            let walk = Walk::Down(Bound::Excluded(&key));
            let found = self.body.first_id(txn, place, walk)?;
            self.head.last_entry = found.ok_or_else(corrupt)?;
        }
        Ok(())
    }
}
