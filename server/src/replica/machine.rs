//! The Raft state machine of a replica: the pure group state over a RocksDB.
//!
//! The durable state is always the complete state after some entry: the records, the applied blob,
//! and the group's state. Every batch writes records. The blob and the group's state, which is as
//! large as its sessions' answers, are written at a *mark*, right before a flush begins; the first
//! entry after a mark writes the blob too. The store flushes nothing by itself (`storage::rocks`),
//! so every durable state ends with a mark. Opening checks this: blob and state must be of the same
//! entry.
//!
//! A fault half-way leaves the state in memory ahead of the store. From then on nothing is marked
//! and closing flushes nothing, so the last mark remains the durable state.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use coterie_files::FileError;
use coterie_group::{Effects, Entry, GroupState, StoreChange};
use coterie_raft::{Fault, StateMachine, cpu_wait};
use coterie_redis_compat::KeyEvent;
use coterie_storage::{Batch, Engine, Interval, Reader, RocksEngine, RocksShared, layout};
use coterie_types::{GroupId, KeyRange, LogIndex, varint};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

use super::digests;
use super::place::Place;
use super::shared::{Published, Shared};
use super::unhurried::UnhurriedReader;
use super::view::StoreView;
use crate::cpu_time::cpu_time;
use crate::error::{RunError, is_no_room};

/// Entries of up to this many bytes together mostly apply within a fraction of a millisecond.
const QUICK_BYTES_MAX: usize = 32 << 10;
/// After entries that took longer, the next are applied where no task waits for the thread: short
/// commands can make large values.
const QUICK_TIME_MAX: Duration = Duration::from_millis(1);

pub(super) struct Machine {
    group_id: GroupId,
    place: Place,
    rocks: RocksShared,
    engine: Arc<RocksEngine>,
    state: GroupState,
    applied: Option<Bytes>,
    /// The index of the last entry that was applied since the store was opened.
    index: Option<LogIndex>,
    shared: Arc<Shared>,
    /// An entry was applied since the last mark.
    dirty: bool,
    /// The last entries read values from RocksDB, or took long; the next are likely to do the same.
    is_slow: bool,
    /// A fault or a panic interrupted a change: the state in memory is not the state after any
    /// entry.
    broken: bool,
    /// Events of keys, to be published once the entries are applied.
    events: Vec<KeyEvent>,
}

impl Machine {
    /// Opens the store in `dir`, or creates an empty store there.
    pub(super) fn open(
        group_id: GroupId,
        dir: &Path,
        rocks: &RocksShared,
        value_bytes_max: u64,
    ) -> Result<(Self, Arc<Shared>), RunError> {
        let place = Place::open(dir).map_err(FileError::io("open replica", dir))?;
        let path = place.store().map_err(FileError::io("open replica", dir))?;
        let engine = Arc::new(RocksEngine::open(&path, rocks)?);
        let (state, applied) = load(&engine, group_id)
            .map_err(|fault| FileError::damaged(&path, fault.to_string()))?;
        let read = state.read_state(None);
        let shared = Arc::new(Shared::new(
            Published {
                engine: Arc::clone(&engine),
                read,
            },
            value_bytes_max,
        ));
        shared.garbage.look_at(&engine, state.ownership())?;
        let machine = Self {
            group_id,
            place,
            rocks: rocks.clone(),
            engine,
            state,
            applied,
            index: None,
            shared: Arc::clone(&shared),
            dirty: false,
            is_slow: true,
            broken: false,
            events: Vec::new(),
        };
        Ok((machine, shared))
    }

    fn apply_one(&mut self, payload: Bytes, batch: &mut Batch) -> Result<Effects, Fault> {
        let entry = Entry::decode(payload)?;
        self.shared.observe(entry.clock);
        let reader = UnhurriedReader::new(&self.engine);
        let effects = self.state.apply(entry, &StoreView(&reader))?;
        self.is_slow |= reader.missed();
        add(&effects, batch);
        Ok(effects)
    }

    /// Applies one entry and writes its effects.
    fn apply_entry(&mut self, entry: coterie_raft::Entry) -> Result<Bytes, Fault> {
        debug_assert!(
            self.index.is_none_or(|last| entry.index == last.next()),
            "entries apply in log order, each once: {} after {:?}",
            entry.index,
            self.index
        );
        self.index = Some(entry.index);
        let mut batch = Batch::default();
        let collected = self.shared.events_of_entry(entry.term);
        self.state.collect_events(collected);
        let mut effects = match &entry.payload {
            Some(payload) => self.apply_one(payload.clone(), &mut batch)?,
            None => Effects::default(),
        };
        if !self.dirty {
            // If the store becomes durable before the next mark, `load` notices by this blob.
            batch.put(layout::APPLIED.to_vec(), entry.applied.to_vec());
        }
        self.note_lost_headers(&effects);
        let clears = cleared(&effects);
        if effects.store.iter().any(is_discard) {
            // First: a reader of a frozen copy checks afterwards whether the copy still exists.
            self.publish(true);
        }
        if batch.clears() {
            block_in_place(|| self.engine.write(batch))?
        } else {
            self.engine.write(batch)?
        }
        if let Some(tracked) = self.shared.tracked_in_use()
            && let Some(payload) = &entry.payload
        {
            tracked.applied(payload, &effects);
        }
        if !clears.is_empty() {
            self.engine.clear_with_flush(clears);
        }
        self.events.append(&mut effects.changes.events);
        self.applied = Some(entry.applied);
        self.dirty = true;
        if self.is_mark_due() {
            block_in_place(|| self.mark())?;
        }
        self.make_space()?;
        if let Some(nonce) = effects.digest {
            block_in_place(|| self.take_digest(nonce, entry.index))?;
        }
        Ok(encode_answer(&effects.replies))
    }

    /// Tells the job that reclaims elements what this entry leaves to it.
    fn note_lost_headers(&self, effects: &Effects) {
        let garbage = &self.shared.garbage;
        garbage.note(effects, &self.engine);
        if garbage.is_arriving() || !effects.store.is_empty() {
            garbage.set_arriving(self.state.ownership());
        }
        let is_over = |change: &StoreChange| matches!(change, StoreChange::Forget(_));
        if effects.store.iter().any(is_over) {
            garbage.want_all();
        }
    }

    /// Whether much was written, or an interval is to be cleared, and a flush would not have to
    /// wait, as for a reader that spills the buffer first. When much more was written, waiting is
    /// accepted.
    fn is_mark_due(&self) -> bool {
        let unflushed = self.engine.unflushed_bytes();
        let full = self.rocks.write_buffer_bytes();
        let is_wanted = unflushed >= full || self.engine.is_to_clear();
        is_wanted && (unflushed >= full.saturating_mul(2) || self.engine.may_flush_now())
    }

    /// A range that is served from here on waits until the old records in its place, and the marks
    /// of its last import, are cleared: nothing is written there before.
    fn make_space(&mut self) -> Result<(), Fault> {
        if !self.engine.is_clearing() {
            return Ok(());
        }
        let importing = self.state.ownership().importing().iter();
        let intervals = importing.flat_map(|arriving| {
            let [headers, elements] = layout::intervals(&arriving.range.bounds);
            let marks = layout::mark_interval(arriving.range.range_id);
            [headers, elements, marks]
        });
        let is_clearing = |interval: &Interval| self.engine.is_clearing_in(interval);
        let intervals: Vec<Interval> = intervals.filter(is_clearing).collect();
        for interval in intervals {
            block_in_place(|| {
                if self.engine.is_to_clear() {
                    self.mark()?;
                }
                self.engine.wait_until_cleared(&interval);
                Ok::<(), Fault>(())
            })?;
        }
        Ok(())
    }

    /// A digest of this state: an interval that is yet to be cleared is not part of it.
    fn take_digest(&mut self, nonce: u64, index: LogIndex) -> Result<(), Fault> {
        if self.engine.is_to_clear() {
            self.mark()?;
        }
        digests::take(&self.shared.digests, &self.engine, nonce, index)?;
        Ok(())
    }

    /// Completes the state in the store with blob and group state, and begins to make it durable.
    fn mark(&mut self) -> Result<(), Fault> {
        if let Some(applied) = self.applied.as_ref().filter(|_| self.dirty) {
            let mut batch = Batch::default();
            batch.put(layout::APPLIED.to_vec(), applied.to_vec());
            batch.put(layout::STATE.to_vec(), encode_state(applied, &self.state));
            self.engine.write(batch)?;
            self.dirty = false;
            self.engine.start_flush()?;
        }
        Ok(())
    }

    /// Runs a change; the machine stays broken unless it succeeds.
    fn whole<T>(&mut self, change: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        if self.broken {
            return Err(Fault::from("the replica stopped for an earlier fault"));
        }
        self.broken = true;
        let done = change(self).map_err(|fault| self.noted(fault))?;
        self.broken = false;
        Ok(done)
    }

    /// Notes a fault that stops the replica: after a lack of room, the replica is opened again
    /// later.
    fn noted(&self, fault: Fault) -> Fault {
        if is_no_room(fault.as_ref()) {
            self.shared.lacked_room.store(true, Ordering::Release);
        }
        fault
    }

    fn install_files(&mut self, dir: &Path) -> Result<(), Fault> {
        let old = self.engine.path().to_path_buf();
        let path = self.place.adopt(&dir.join("store"))?;
        let engine = Arc::new(RocksEngine::open(&path, &self.rocks)?);
        let (state, applied) = load(&engine, self.group_id)?;
        self.engine = engine;
        self.state = state;
        self.applied = applied;
        self.index = None;
        self.dirty = false;
        self.shared.observe(self.state.clock());
        let ownership = self.state.ownership();
        self.shared.garbage.look_at(&self.engine, ownership)?;
        self.publish(false);
        // Reads in progress may fail, which does no harm: a replica that installs a snapshot does
        // not lead.
        if let Err(error) = std::fs::remove_dir_all(&old) {
            // Still in use: the next start removes stores that CURRENT does not name.
            tracing::warn!(%error, dir = %old.display(), "old store not removed");
        }
        Ok(())
    }

    /// Shows the state to readers; `same` if it was reached from the previous state by applying
    /// entries.
    fn publish(&self, same: bool) {
        let before = self.shared.published();
        let read = self.state.read_state(same.then_some(&before.read));
        self.shared.publish(Published {
            engine: Arc::clone(&self.engine),
            read,
        });
    }
}

impl StateMachine for Machine {
    fn apply(&mut self, entries: Vec<coterie_raft::Entry>) -> Result<Vec<Bytes>, Fault> {
        let (began, cpu, count) = (Instant::now(), cpu_time(), entries.len());
        let waited = cpu_wait();
        self.is_slow = false;
        let answers = self.whole(|machine| {
            let apply = |entry| machine.apply_entry(entry);
            let answers = entries.into_iter().map(apply).collect::<Result<_, _>>()?;
            machine.publish(true);
            if !machine.events.is_empty() {
                machine
                    .shared
                    .tell_events(std::mem::take(&mut machine.events));
            }
            Ok(answers)
        });
        // Time spent waiting for a CPU is no sign of a slow store.
        let waited = cpu_wait().saturating_sub(waited);
        let took = began.elapsed().saturating_sub(waited);
        self.is_slow |= took > QUICK_TIME_MAX;
        self.shared.apply_time.add(took, count as u64);
        let cpu = u64::try_from(cpu_time().saturating_sub(cpu).as_nanos()).unwrap_or(0);
        self.shared
            .apply_cpu_nanos
            .fetch_add(cpu, Ordering::Relaxed);
        answers
    }

    fn is_quick(&self, entries: &[coterie_raft::Entry]) -> bool {
        let payloads = entries.iter().filter_map(|entry| entry.payload.as_ref());
        !self.is_slow && payloads.map(Bytes::len).sum::<usize>() <= QUICK_BYTES_MAX
    }

    fn applied(&self) -> Option<Bytes> {
        self.applied.clone()
    }

    fn flush(&mut self) -> Result<(), Fault> {
        self.whole(Self::mark)
    }

    fn durable(&self) -> Result<Option<Bytes>, Fault> {
        let looked = self.engine.check();
        let looked = looked.and_then(|()| self.engine.get_durable(layout::APPLIED));
        looked.map_err(|error| self.noted(error.into()))
    }

    fn checkpoint(&mut self, dir: &Path) -> Result<(), Fault> {
        self.whole(|machine| {
            machine.mark()?;
            Ok(machine.engine.checkpoint(&dir.join("store"))?)
        })
    }

    fn install(&mut self, dir: &Path) -> Result<(), Fault> {
        self.whole(|machine| machine.install_files(dir))
    }
}

impl Drop for Machine {
    /// Leaves as little log as possible to apply again.
    fn drop(&mut self) {
        let mut close = || {
            if !self.broken
                && let Err(fault) = self.mark()
            {
                tracing::error!(group_id = %self.group_id, error = %fault, "store not closed cleanly");
            }
            self.engine.wait_for_spill();
        };
        let runtime = Handle::try_current().map(|runtime| runtime.runtime_flavor());
        match runtime {
            Ok(RuntimeFlavor::MultiThread) => block_in_place(close),
            _ => close(),
        }
    }
}

/// Reads state and blob from the store; both must be of the same entry.
fn load(engine: &RocksEngine, group_id: GroupId) -> Result<(GroupState, Option<Bytes>), Fault> {
    let applied = engine.get(layout::APPLIED)?;
    let Some(stored) = engine.get(layout::STATE)? else {
        return match applied {
            None => Ok((GroupState::new(group_id), None)),
            Some(_) => Err(Fault::from("the group's state is missing")),
        };
    };
    let mut rest = stored;
    let blob = varint::take_bytes(&mut rest).ok_or("the group's state is cut short")?;
    if applied.as_ref() != Some(&blob) {
        return Err(Fault::from(
            "records and the group's state are not of the same entry",
        ));
    }
    let state = GroupState::decode(&rest)?;
    if state.group_id() != group_id {
        return Err(Fault::from(format!(
            "the store is group {}'s",
            state.group_id()
        )));
    }
    Ok((state, applied))
}

fn encode_state(applied: &[u8], state: &GroupState) -> Vec<u8> {
    let mut out = Vec::new();
    varint::put_bytes(&mut out, applied);
    out.extend_from_slice(&state.encode());
    out
}

fn is_discard(change: &StoreChange) -> bool {
    matches!(change, StoreChange::Discard(_))
}

/// Intervals that are of no use any more: records of ranges that left, marks of imports that ended.
/// They are cleared with a flush that is begun soon, so that the balancer soon sees an arrived
/// range at its size on disk.
fn cleared(effects: &Effects) -> Vec<Interval> {
    let cleared = effects.store.iter().map(|change| match change {
        StoreChange::Discard(bounds) => layout::intervals(bounds).to_vec(),
        StoreChange::Forget(range_id) => vec![layout::mark_interval(*range_id)],
        StoreChange::Mark { .. } | StoreChange::Know { .. } => Vec::new(),
    });
    cleared.flatten().collect()
}

/// An entry's effects as writes to the store.
fn add(effects: &Effects, batch: &mut Batch) {
    for change in &effects.store {
        match change {
            // Cleared afterwards, with the marks of an import: see `cleared`.
            StoreChange::Discard(_) => {}
            StoreChange::Forget(range_id) => batch.delete(layout::known_key(*range_id)),
            StoreChange::Mark {
                range_id,
                table,
                key,
            } => batch.put(layout::mark_key(*range_id, *table, key), Vec::new()),
            StoreChange::Know { range_id, known } => {
                batch.put(layout::known_key(*range_id), known.to_vec());
            }
        }
    }
    for range in &effects.changes.clears {
        clear(range, batch);
    }
    // Before the records: a sweep may leave something of a record for later, at the same time.
    for expired in &effects.swept {
        batch.delete(layout::expiry_key(expired.at, expired.table, &expired.key));
    }
    for ((table, key), record) in &effects.changes.records {
        let stored = layout::header_key(*table, key);
        match record {
            Some(record) => {
                if let Some(at) = record.wake_at() {
                    batch.put(layout::expiry_key(at, *table, key), Vec::new());
                }
                let mut value = Vec::with_capacity(record.encoded_len());
                record.encode(&mut value);
                batch.put(stored, value);
            }
            None => batch.delete(stored),
        }
    }
    for (place, value) in &effects.changes.elements {
        let of = &place.of;
        let key = (of.table, &of.key[..]);
        let stored = layout::element_key(key, of.incarnation, place.family, &place.element);
        match value {
            Some(value) => batch.put(stored, value.to_vec()),
            None => batch.delete(stored),
        }
    }
}

/// Clears a range of keys, with their elements.
fn clear(range: &KeyRange, batch: &mut Batch) {
    for (start, end) in layout::intervals(range) {
        batch.clear(start, end);
    }
}

/// The answer of an entry: its frames' replies, each behind its length.
fn encode_answer(replies: &[Bytes]) -> Bytes {
    let mut out = BytesMut::with_capacity(replies.iter().map(|reply| reply.len() + 5).sum());
    for reply in replies {
        varint::put(&mut out, reply.len() as u64);
        out.put_slice(reply);
    }
    out.freeze()
}

#[cfg(test)]
mod tests {
    use coterie_group::{Body, RangeChange};
    use coterie_types::UnixMillis;
    use coterie_types::{Epoch, RangeDescriptor, RangeId, TableId, Term};

    use super::*;

    fn entry(index: u64, body: Body) -> coterie_raft::Entry {
        let entry = Entry {
            clock: UnixMillis(index),
            seed: 0,
            value_bytes_max: 1 << 20,
            body,
        };
        coterie_raft::Entry {
            term: Term(1),
            index: LogIndex(index),
            applied: Bytes::from(index.to_string()),
            payload: Some(entry.encode()),
        }
    }

    fn range(epoch: u64, group: u64) -> RangeDescriptor {
        RangeDescriptor {
            range_id: RangeId(1),
            bounds: KeyRange::all(TableId(0)),
            epoch: Epoch(epoch),
            group_id: GroupId(group),
        }
    }

    #[test]
    fn files_of_a_range_that_left_go_when_no_replay_needs_them() {
        let dir = tempfile::tempdir().unwrap();
        let rocks = RocksShared::new(1 << 20, 0).unwrap();
        let (mut machine, _) = Machine::open(GroupId(1), dir.path(), &rocks, 1 << 20).unwrap();
        let hand_off = RangeChange::HandOff { range: range(2, 2) };
        let drop_frozen = RangeChange::DropFrozen {
            range_id: RangeId(1),
            epoch: Epoch(2),
        };
        let bodies = [
            Body::Init(vec![range(1, 1)]),
            Body::Change(hand_off),
            Body::Change(drop_frozen),
        ];
        for (index, body) in (1..).zip(bodies) {
            machine.apply(vec![entry(index, body)]).unwrap();
        }
        for interval in layout::all_intervals() {
            machine.engine.wait_until_cleared(&interval);
        }
        assert_eq!(machine.durable().unwrap().unwrap(), "3");
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic(expected = "entries apply in log order, each once")]
    fn an_entry_that_is_left_out_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let mut machine = opened(dir.path()).unwrap();
        for index in [1, 2, 4] {
            machine.apply(vec![entry(index, Body::Tick)]).unwrap();
        }
    }

    /// Waits until the state as of this entry is on disk.
    fn wait_until_durable(machine: &Machine, applied: &str) {
        for _ in 0..2_000 {
            if machine
                .durable()
                .unwrap()
                .is_some_and(|durable| durable == applied)
            {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("entry {applied} is not durable");
    }

    #[test]
    fn a_range_that_comes_back_at_once_finds_its_place_empty() {
        let dir = tempfile::tempdir().unwrap();
        let mut machine = opened(dir.path()).unwrap();
        let key = layout::header_key(TableId(0), b"k");
        let put = |machine: &Machine| {
            let mut batch = Batch::default();
            batch.put(key.clone(), b"old".to_vec());
            machine.engine.write(batch).unwrap();
        };
        let leave = |epoch: u64| {
            let range_id = RangeId(1);
            let epoch_after = Epoch(epoch);
            [
                RangeChange::HandOff {
                    range: range(epoch, 2),
                },
                RangeChange::DropFrozen {
                    range_id,
                    epoch: epoch_after,
                },
            ]
        };
        let come_back = |epoch: u64| {
            [
                RangeChange::BeginImport {
                    range: range(epoch, 1),
                    source: GroupId(2),
                },
                RangeChange::Activate {
                    range_id: RangeId(1),
                    epoch: Epoch(epoch),
                },
            ]
        };
        machine
            .apply(vec![entry(1, Body::Init(vec![range(1, 1)]))])
            .unwrap();
        let mut index = 1;
        put(&machine);
        let changes = leave(2).into_iter().chain(come_back(3));
        for change in changes {
            index += 1;
            machine
                .apply(vec![entry(index, Body::Change(change))])
                .unwrap();
        }
        assert!(!machine.engine.is_clearing());
        assert_eq!(machine.engine.get(&key).unwrap(), None);
        // Later writes stay, also over a crash behind a mark.
        put(&machine);
        let last = index + 1;
        machine.apply(vec![entry(last, Body::Tick)]).unwrap();
        machine.flush().unwrap();
        wait_until_durable(&machine, &last.to_string());
        drop(machine);
        let machine = opened(dir.path()).unwrap();
        assert_eq!(machine.engine.get(&key).unwrap().unwrap(), "old");
    }

    #[test]
    fn a_crash_before_the_flush_clears_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut machine = opened(dir.path()).unwrap();
        let key = layout::header_key(TableId(0), b"k");
        let init = entry(1, Body::Init(vec![range(1, 1)]));
        machine.apply(vec![init]).unwrap();
        let mut batch = Batch::default();
        batch.put(key.clone(), b"old".to_vec());
        machine.engine.write(batch).unwrap();
        machine.flush().unwrap();
        wait_until_durable(&machine, "1");
        let leave = || {
            let changes = [
                RangeChange::HandOff { range: range(2, 2) },
                RangeChange::DropFrozen {
                    range_id: RangeId(1),
                    epoch: Epoch(2),
                },
            ];
            let bodies = changes.map(Body::Change);
            (2..).zip(bodies).map(|(index, body)| entry(index, body))
        };
        machine.apply(leave().collect()).unwrap();
        crash(machine);
        let mut machine = opened(dir.path()).unwrap();
        let applied = machine.applied().unwrap();
        // Whether the flush had ended or not, the state is that before the entries or after them.
        if applied == "1" {
            machine.apply(leave().collect()).unwrap();
        }
        for interval in layout::all_intervals() {
            machine.engine.wait_until_cleared(&interval);
        }
        assert_eq!(machine.engine.get(&key).unwrap(), None, "from {applied:?}");
    }

    fn opened(dir: &Path) -> Result<Machine, RunError> {
        let rocks = RocksShared::new(1 << 20, 0).unwrap();
        Machine::open(GroupId(1), dir, &rocks, 1 << 20).map(|(machine, _)| machine)
    }

    /// Like a crash: nothing is marked any more.
    fn crash(mut machine: Machine) {
        machine.broken = true;
    }

    #[test]
    fn what_a_clearing_had_written_down_is_not_durable_before_the_next_mark() {
        let dir = tempfile::tempdir().unwrap();
        let mut machine = opened(dir.path()).unwrap();
        let init = || vec![entry(1, Body::Init(vec![range(1, 1)]))];
        machine.apply(init()).unwrap();
        machine.flush().unwrap();
        machine.engine.wait_for_spill();
        machine.apply(vec![entry(2, Body::Tick)]).unwrap();
        let mut clearing = Batch::default();
        clearing.clear(b"\x30".to_vec(), b"\x31".to_vec());
        machine.engine.write(clearing).unwrap();
        crash(machine);
        let mut machine = opened(dir.path()).unwrap();
        assert!(machine.applied().is_none_or(|applied| applied == "1"));
        // The replica continues from there.
        if machine.applied().is_none() {
            machine.apply(init()).unwrap();
        }
        machine.apply(vec![entry(2, Body::Tick)]).unwrap();
        drop(machine);
        opened(dir.path()).unwrap();
    }

    #[test]
    fn what_was_flushed_without_a_mark_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mut machine = opened(dir.path()).unwrap();
        machine
            .apply(vec![entry(1, Body::Init(vec![range(1, 1)]))])
            .unwrap();
        machine.flush().unwrap();
        machine.apply(vec![entry(2, Body::Tick)]).unwrap();
        machine.engine.flush().unwrap();
        crash(machine);
        let refused = opened(dir.path()).err().map(|error| error.to_string());
        let refused = refused.unwrap_or_default();
        assert!(refused.contains("not of the same entry"), "{refused}");
    }
}
