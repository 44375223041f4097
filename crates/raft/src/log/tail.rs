//! The newest entries of a group in memory: all that are not durable yet, and the newest durable
//! entries within a budget, so that replication and apply rarely read the disk.

use std::collections::VecDeque;

use crate::type_config::{LogEntry, LogId};

/// Above this size durable entries are evicted, oldest first.
const TAIL_BYTES_MAX: usize = 16 << 20;

#[derive(Default)]
pub(super) struct Tail {
    /// Index of the first entry held; meaningless without entries.
    first: u64,
    entries: VecDeque<(LogEntry, usize)>,
    bytes: usize,
    durable_below: u64,
}

/// Bytes of an entry in memory and, approximately, on disk.
pub(crate) fn entry_bytes(entry: &LogEntry) -> usize {
    let body = match &entry.payload {
        openraft::EntryPayload::Normal(payload) => payload.0.len(),
        openraft::EntryPayload::Blank | openraft::EntryPayload::Membership(_) => 64,
    };
    body + 32
}

impl Tail {
    /// Appends entries that follow the held entries, or replace them from the first new index on.
    pub(super) fn append(&mut self, index: u64, entry: LogEntry, bytes: usize) {
        self.truncate_from(index);
        if self.entries.is_empty() {
            self.first = index;
        }
        self.entries.push_back((entry, bytes));
        self.bytes += bytes;
        self.durable_below = self.durable_below.min(index);
    }

    /// Whether this very entry is held.
    pub(super) fn holds(&self, log_id: LogId) -> bool {
        let at = log_id
            .index
            .checked_sub(self.first)
            .and_then(|at| usize::try_from(at).ok());
        let held = at.and_then(|at| self.entries.get(at));
        held.is_some_and(|(entry, _)| entry.log_id == log_id)
    }

    /// Everything below `index` is durable: old entries may be evicted from memory.
    pub(super) fn durable_below(&mut self, index: u64) {
        self.durable_below = self.durable_below.max(index);
        while self.bytes > TAIL_BYTES_MAX && self.first < self.durable_below {
            self.pop_front();
        }
    }

    pub(super) fn truncate_from(&mut self, index: u64) {
        while self
            .entries
            .back()
            .is_some_and(|(entry, _)| entry.log_id.index >= index)
        {
            if let Some((_, bytes)) = self.entries.pop_back() {
                self.bytes -= bytes;
            }
        }
    }

    pub(super) fn purge_below(&mut self, index: u64) {
        while !self.entries.is_empty() && self.first < index {
            self.pop_front();
        }
    }

    fn pop_front(&mut self) {
        if let Some((_, bytes)) = self.entries.pop_front() {
            self.bytes -= bytes;
            self.first += 1;
        }
    }

    /// Index of the first entry held; `None` if there is none.
    pub(super) fn first(&self) -> Option<u64> {
        (!self.entries.is_empty()).then_some(self.first)
    }

    /// Entries `start..end` with their sizes; `start` must not be below [`Tail::first`].
    pub(super) fn range(
        &self,
        start: u64,
        end: u64,
    ) -> impl Iterator<Item = &(LogEntry, usize)> + '_ {
        let skip = usize::try_from(start - self.first).unwrap_or(usize::MAX);
        let take = usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX);
        self.entries.iter().skip(skip).take(take)
    }
}

#[cfg(test)]
mod tests {
    use openraft::EntryPayload;
    use openraft::entry::RaftEntry;

    use super::*;
    use crate::log::log_id;

    fn append(tail: &mut Tail, index: u64, bytes: usize) {
        tail.append(
            index,
            LogEntry::new(log_id(1, index), EntryPayload::Blank),
            bytes,
        );
    }

    fn indexes(tail: &Tail, start: u64, end: u64) -> Vec<u64> {
        tail.range(start, end)
            .map(|(entry, _)| entry.log_id.index)
            .collect()
    }

    #[test]
    fn a_lower_index_replaces_what_was_there() {
        let mut tail = Tail::default();
        for index in 5..9 {
            append(&mut tail, index, 10);
        }
        append(&mut tail, 7, 10);
        assert_eq!(indexes(&tail, 5, 100), [5, 6, 7]);
    }

    #[test]
    fn only_durable_entries_leave_memory() {
        let mut tail = Tail::default();
        for index in 1..=3 {
            append(&mut tail, index, TAIL_BYTES_MAX);
        }
        assert_eq!(tail.first(), Some(1));
        tail.durable_below(3);
        assert_eq!(tail.first(), Some(3));
        tail.durable_below(4);
        assert_eq!(tail.first(), Some(3), "within the budget");
    }

    #[test]
    fn purged_entries_are_gone() {
        let mut tail = Tail::default();
        for index in 1..=4 {
            append(&mut tail, index, 10);
        }
        tail.purge_below(3);
        assert_eq!(indexes(&tail, 3, 5), [3, 4]);
        tail.purge_below(9);
        assert_eq!(tail.first(), None);
    }
}
