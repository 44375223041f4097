//! A group's log as openraft wants it.
//!
//! Appends are readable at once (from `tail`) and durable later; a callback tells openraft. The
//! vote is durable before `save_vote` returns. The committed index is kept in memory only: with
//! leader restore off, a restarted replica learns it from the next leader.
//!
//! When the log of a destroyed replica is deleted, its promises stay: the vote, and the last entry
//! it acknowledged. A new replica of the group on this node is held to them (`node`).

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use coterie_types::{GroupId, Term};
use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{EntryPayload, Membership, OptionalSend, RaftLogReader};
use parking_lot::{Mutex, MutexGuard};
use serde::Serialize;

use super::engine::{Done, Job, LogEngine};
use super::keys::{
    JOINING_KEY, PROMISED_KEY, PURGED_KEY, TAIL_KEY, TailState, VOTE_KEY, lost_tail,
};
use super::record::{Record, log_id};
use super::sizes::{LogSizes, seed_sizes};
use super::tail::{Tail, entry_bytes};
use crate::type_config::{LogEntry, LogId, TypeConfig, Vote};

/// Bytes of entries sent to a follower in a message; a single entry may be larger.
const REPLICATE_BYTES_MAX: usize = 4 << 20;

/// A clone of the group's log; all clones share the same state.
#[derive(Clone)]
pub(crate) struct GroupLog {
    group: GroupId,
    engine: LogEngine,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    vote: Option<Vote>,
    last: Option<LogId>,
    /// The highest index that may be on disk: truncated entries stay until overwritten.
    highest: u64,
    purged: Option<LogId>,
    committed: Option<LogId>,
    /// The last entry of the earlier log of this group that was deleted here.
    promised: Option<LogId>,
    /// The replica only follows leaders, from this term on (see `part`).
    joining: Option<u64>,
    tail_state: TailState,
    tail: Tail,
    sizes: LogSizes,
}

impl GroupLog {
    /// Opens the group's log from disk.
    pub(crate) fn open(group: GroupId, engine: LogEngine) -> io::Result<Self> {
        let mut shared = Shared::default();
        if let Some(bytes) = engine.get(group, VOTE_KEY) {
            shared.vote = Some(decode(&bytes)?);
        }
        if let Some(bytes) = engine.get(group, PURGED_KEY) {
            shared.purged = Some(decode(&bytes)?);
        }
        if let Some(bytes) = engine.get(group, PROMISED_KEY) {
            shared.promised = Some(decode(&bytes)?);
        }
        if let Some(bytes) = engine.get(group, JOINING_KEY) {
            shared.joining = decode(&bytes)?;
        }
        if let Some(bytes) = engine.get(group, TAIL_KEY) {
            shared.tail_state = decode(&bytes)?;
        }
        shared.last = shared.purged;
        let purged_index = shared.purged.map_or(0, |purged| purged.index);
        let mut left_over = None;
        if let Some((first, last)) = engine.span(group) {
            shared.highest = last;
            if shared.purged.is_some() && last <= purged_index {
                // Old entries came back with a deleted file: they count as purged.
                left_over = shared.purged;
            } else {
                let records = engine.fetch(group, last, last + 1, None)?;
                if let Some(record) = records.into_iter().next() {
                    shared.last = Some(record.into_entry()?.log_id);
                }
                // The very first entry has index 0.
                let first = shared.purged.map_or(first, |p| first.max(p.index + 1));
                seed_sizes(&mut shared.sizes, &engine, group, first, last)?;
            }
        }
        let log = Self {
            group,
            engine,
            shared: Arc::new(Mutex::new(shared)),
        };
        if let Some(purged) = left_over {
            log.compact(purged.index + 1, purged)?;
        }
        Ok(log)
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // A panic while the lock is held leaves plain data behind.
        self.shared.lock()
    }

    /// Approximate sizes of the log by index.
    pub(crate) fn sizes(&self) -> LogSizes {
        self.lock().sizes.clone()
    }

    /// Whether nothing was ever written: no vote granted, no entry accepted.
    pub(crate) fn is_pristine(&self) -> bool {
        let shared = self.lock();
        shared.vote.is_none() && shared.last.is_none()
    }

    /// The last entry.
    pub(crate) fn last(&self) -> Option<LogId> {
        self.lock().last
    }

    /// Whether the log lacks entries that this node acknowledged before the earlier log was
    /// deleted.
    pub(crate) fn is_short_of_promises(&self) -> bool {
        let shared = self.lock();
        shared.last < shared.promised
    }

    /// The term from which on the replica only follows leaders; `None` if it takes part in full.
    pub(crate) fn joining(&self) -> Option<u64> {
        self.lock().joining
    }

    /// Sets [`GroupLog::joining`]; durable on return, after all earlier appends.
    pub(crate) async fn set_joining(&self, from_term: Option<u64>) -> io::Result<()> {
        self.put(JOINING_KEY, &from_term).await?;
        self.lock().joining = from_term;
        Ok(())
    }

    /// Whether the log ends with its last acknowledged entry.
    pub(crate) fn tail(&self) -> TailState {
        self.lock().tail_state
    }

    /// Sets [`GroupLog::tail`]; durable on return, after all earlier appends.
    pub(crate) async fn set_tail(&self, state: TailState) -> io::Result<()> {
        self.put(TAIL_KEY, &state).await?;
        self.lock().tail_state = state;
        Ok(())
    }

    /// Whether a candidate whose log ends with `last` has every entry acknowledged here.
    pub(crate) fn may_follow(&self, last: Option<LogId>) -> bool {
        last >= self.lock().promised
    }

    /// From now on the log counts as having reached at least `last`.
    pub(crate) async fn raise_promised(&self, last: LogId) -> io::Result<()> {
        if self.may_follow(Some(last)) {
            self.put(PROMISED_KEY, &last).await?;
            self.lock().promised = Some(last);
        }
        Ok(())
    }

    /// Puts a value under a key of the group; durable on return.
    async fn put<T: Serialize>(&self, key: &'static [u8], value: &T) -> io::Result<()> {
        let (group, value) = (self.group, coterie_protocol::encode(value).to_vec());
        let put = |done| Job::Put {
            group,
            key,
            value,
            done: Some(done),
        };
        self.engine.submit_and_wait(put).await
    }

    /// The term of the vote on disk.
    pub(crate) fn promised_term(&self) -> Term {
        Term(self.lock().vote.map_or(0, |vote| vote.leader_id.term))
    }

    /// Deletes the log except for its promises; it must not be used afterwards.
    pub(crate) async fn forget(&self) -> io::Result<()> {
        let mut keep = Vec::new();
        {
            let shared = self.lock();
            if let Some(vote) = &shared.vote {
                keep.push((VOTE_KEY, coterie_protocol::encode(vote).to_vec()));
            }
            if let Some(promised) = shared.promised.max(shared.last) {
                keep.push((PROMISED_KEY, coterie_protocol::encode(&promised).to_vec()));
            }
            if shared.tail_state != TailState::Sound {
                // The replica may have acknowledged more entries than this log knows.
                keep.push(lost_tail());
            }
        }
        let group = self.group;
        self.engine
            .submit_and_wait(|done| Job::Clean { group, keep, done })
            .await
    }

    /// Appends an entry, in a new term, that makes `node` the only voter; durable on return. The
    /// log must not be used meanwhile.
    pub(crate) async fn make_alone(&mut self, node: u64) -> io::Result<()> {
        let (vote, last) = {
            let shared = self.lock();
            (shared.vote, shared.last)
        };
        let Some(last) = last else {
            return Err(io::Error::other("its log has no entries"));
        };
        let voted = vote.map_or(0, |vote| vote.leader_id.term);
        let term = voted.max(last.leader_id.term) + 1;
        // Every entry in this log counts from now on, and no other log does.
        self.set_tail(TailState::Sound).await?;
        // The vote first: without the entry it is only a term without a leader.
        self.save_vote(&Vote::new(term, node)).await?;
        let voters = BTreeSet::from([node]);
        let membership = Membership::new_with_defaults(vec![voters], []);
        let entry = LogEntry::new(
            log_id(term, last.index + 1),
            EntryPayload::Membership(membership),
        );
        let records = vec![Record::from_entry(&entry)];
        let (group, bytes) = (self.group, entry_bytes(&entry));
        self.engine
            .submit_and_wait(|done| Job::Append {
                group,
                records,
                bytes,
                done,
            })
            .await
    }

    /// Drops all entries below `index` from disk.
    fn compact(&self, index: u64, purged: LogId) -> io::Result<()> {
        let (group, purged) = (self.group, coterie_protocol::encode(&purged).to_vec());
        self.engine.submit(Job::Compact {
            group,
            index,
            purged,
            done: None,
        })
    }

    fn read(&self, start: u64, end: u64, bytes_max: usize) -> io::Result<Vec<LogEntry>> {
        let (from_tail, disk_end) = {
            let shared = self.lock();
            let end = end.min(shared.last.map_or(0, |last| last.index + 1));
            match shared.tail.first() {
                Some(first) if first <= start => {
                    return Ok(within(shared.tail.range(start, end), bytes_max));
                }
                Some(first) if first < end => {
                    (within(shared.tail.range(first, end), bytes_max), first)
                }
                _ => (Vec::new(), end),
            }
        };
        if start >= disk_end {
            return Ok(from_tail);
        }
        let records = self
            .engine
            .fetch(self.group, start, disk_end, Some(bytes_max))?;
        let whole = records.len() as u64 == disk_end - start;
        let entries: io::Result<Vec<_>> = records.into_iter().map(Record::into_entry).collect();
        let mut entries = entries?;
        let bytes: usize = entries.iter().map(entry_bytes).sum();
        if whole && bytes < bytes_max {
            entries.extend(from_tail);
        }
        Ok(entries)
    }
}

fn within<'a>(
    entries: impl Iterator<Item = &'a (LogEntry, usize)>,
    bytes_max: usize,
) -> Vec<LogEntry> {
    let mut bytes = 0;
    let mut taken = Vec::new();
    for (entry, entry_bytes) in entries {
        if !taken.is_empty() && bytes + entry_bytes > bytes_max {
            break;
        }
        bytes += entry_bytes;
        taken.push(entry.clone());
    }
    taken
}

fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    coterie_protocol::decode(bytes).map_err(io::Error::other)
}

impl RaftLogReader<TypeConfig> for GroupLog {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<LogEntry>, io::Error> {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(start) => start + 1,
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(end) => end + 1,
            Bound::Excluded(end) => *end,
            Bound::Unbounded => u64::MAX,
        };
        self.read(start, end, usize::MAX)
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<LogEntry>, io::Error> {
        self.read(start, end, REPLICATE_BYTES_MAX)
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.lock().vote)
    }
}

impl RaftLogStorage<TypeConfig> for GroupLog {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, io::Error> {
        let shared = self.lock();
        Ok(LogState {
            last_purged_log_id: shared.purged,
            last_log_id: shared.last,
        })
    }

    async fn get_log_reader(&mut self) -> Self::LogReader {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        self.put(VOTE_KEY, vote).await?;
        self.lock().vote = Some(*vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        self.lock().committed = committed;
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.lock().committed)
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: IOFlushed<TypeConfig>,
    ) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = LogEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let (mut records, mut bytes, mut last) = (Vec::new(), 0, None);
        {
            let mut shared = self.lock();
            for entry in entries {
                let entry_bytes = entry_bytes(&entry);
                records.push(Record::from_entry(&entry));
                bytes += entry_bytes;
                last = Some(entry.log_id);
                shared.last = last;
                shared.highest = shared.highest.max(entry.log_id.index);
                shared.sizes.appended(entry.log_id.index, entry_bytes);
                shared.tail.append(entry.log_id.index, entry, entry_bytes);
            }
        }
        let Some(last) = last else {
            callback.io_completed(Ok(()));
            return Ok(());
        };
        let shared = Arc::clone(&self.shared);
        let done: Done = Box::new(move |result| {
            if result.is_ok() {
                let mut shared = shared.lock();
                // Unless the entry was replaced while it was being written.
                if shared.tail.holds(last) {
                    shared.tail.durable_below(last.index + 1);
                }
            }
            callback.io_completed(result);
        });
        self.engine.submit(Job::Append {
            group: self.group,
            records,
            bytes,
            done,
        })
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> Result<(), io::Error> {
        // raft-engine has no truncation of its own: the following append overwrites. After a crash
        // before that append the entries are back, still uncommitted.
        let mut shared = self.lock();
        shared
            .tail
            .truncate_from(last_log_id.map_or(0, |last| last.index + 1));
        shared.last = last_log_id;
        Ok(())
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), io::Error> {
        let below = {
            let mut shared = self.lock();
            shared.tail.purge_below(log_id.index + 1);
            shared.sizes.purged_below(log_id.index);
            shared.purged = Some(log_id);
            if shared.last.is_none_or(|last| last.index < log_id.index) {
                // A snapshot replaced the log. Entries of a conflicting log above it were truncated
                // in memory only and must not be found again.
                shared.last = Some(log_id);
                shared.highest.max(log_id.index) + 1
            } else {
                log_id.index + 1
            }
        };
        self.compact(below, log_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RaftConfig;

    #[tokio::test]
    async fn a_log_of_its_first_entry_alone_is_opened_again() {
        let dir = tempfile::tempdir().unwrap();
        let engine = LogEngine::open(dir.path(), &RaftConfig::default(), &[]).unwrap();
        let group = GroupId(1);
        let membership = Membership::new_with_defaults(vec![BTreeSet::from([1])], []);
        let entry = LogEntry::new(log_id(1, 0), EntryPayload::Membership(membership));
        let records = vec![Record::from_entry(&entry)];
        let appended = engine.submit_and_wait(|done| Job::Append {
            group,
            records,
            bytes: 1,
            done,
        });
        appended.await.unwrap();
        let log = GroupLog::open(group, engine.clone()).unwrap();
        assert_eq!(log.last(), Some(log_id(1, 0)));
        drop(log);
        engine.close().await.unwrap();
    }
}
