//! Reclaims the elements that no header names: of collections that were deleted, replaced, or have
//! expired. Nobody sees them, and no digest counts them, so every replica removes them by itself,
//! outside the log.
//!
//! Applying tells which keys lost a header (`garbage`); their elements are looked for a moment
//! later. Where that could not be told, all elements are looked through, every few minutes, by two
//! seeks for each collection. An idle replica does nothing.
//!
//! A look decides over a view of the store ([`look`]). The decision stays right: a version is never
//! an incarnation twice, so no later entry names the incarnation again. The exception is an
//! arriving range, whose elements arrive before their headers, and whose collections may have
//! been here before. Nothing is removed there, and the removals of a look are dropped when a range
//! began to arrive since.
//!
//! Elements are deleted singly. RocksDB compacts files that are full of deletions soon, which
//! gives their space back.
//!
//! The removals change no state, so each durable state is still the state after some entry,
//! whether it has them or not.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use coterie_group::Body;
use coterie_raft::{Fault, Group};
use coterie_storage::{Batch, Engine, Interval, layout};
use tokio_util::sync::CancellationToken;

use super::shared::Shared;
pub(crate) use garbage::Garbage;
use look::Found;

mod garbage;
mod look;

/// How long to wait after a hint: more of its kind come soon.
const DELAY: Duration = Duration::from_millis(500);
/// Pause between two looks, which bounds the rate: some fifty thousand elements a second.
const PAUSE: Duration = Duration::from_millis(20);
/// How often to check whether a flush has begun that is due.
const FLUSH_POLL: Duration = Duration::from_millis(50);
/// Longest wait for an entry.
const TICK_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after the store could not be read or written.
const FAULT_PAUSE: Duration = Duration::from_secs(30);
/// Runs until `stop`.
pub(super) async fn run(
    group: Group,
    shared: Arc<Shared>,
    unflushed_max: usize,
    stop: CancellationToken,
) {
    let garbage = &shared.garbage;
    let reclaimer = Reclaimer {
        group,
        shared: Arc::clone(&shared),
        unflushed_max,
    };
    let reclaiming = async {
        loop {
            let whole = garbage.wanted().await;
            tokio::time::sleep(DELAY).await;
            let began = Instant::now();
            let reclaimed = reclaimer.reclaim(whole).await;
            let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            garbage.millis_total.fetch_add(millis, Ordering::Relaxed);
            if let Err(fault) = reclaimed {
                let group_id = reclaimer.group.id();
                tracing::error!(%group_id, error = %fault, "elements not reclaimed");
                tokio::time::sleep(FAULT_PAUSE).await;
                garbage.want_all();
            }
        }
    };
    stop.run_until_cancelled(reclaiming).await;
}

/// The job of a replica.
struct Reclaimer {
    group: Group,
    shared: Arc<Shared>,
    /// Unflushed bytes from which on a flush is due.
    unflushed_max: usize,
}

impl Reclaimer {
    /// Looks through the keys that lost a header, or through all elements.
    async fn reclaim(&self, whole: bool) -> Result<(), Fault> {
        let garbage = &self.shared.garbage;
        let before = garbage.elements_total.load(Ordering::Relaxed);
        if whole {
            garbage.begin_pass();
            let [_, all] = layout::all_intervals();
            self.reclaim_in(all).await?;
        } else {
            for (table, key) in garbage.take_keys() {
                self.reclaim_in(layout::elements_interval(table, &key))
                    .await?;
            }
        }
        if garbage.elements_total.load(Ordering::Relaxed) > before {
            // Space comes back with the next flush and the compaction after it.
            self.tick().await;
        }
        Ok(())
    }

    /// Reclaims the elements of an interval that no header names.
    async fn reclaim_in(&self, (mut from, end): Interval) -> Result<(), Fault> {
        loop {
            self.make_room().await;
            let (looking, interval) = (Arc::clone(&self.shared), (from.clone(), end.clone()));
            let step = tokio::task::spawn_blocking(move || step(&looking, &interval));
            match step.await?? {
                Step::On(next) => from = next,
                Step::End => return Ok(()),
                Step::Again => {}
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Waits while a flush is due: removals take memory until they are flushed.
    async fn make_room(&self) {
        let unflushed = || self.shared.published().engine.unflushed_bytes();
        while unflushed() >= self.unflushed_max {
            self.tick().await;
            tokio::time::sleep(FLUSH_POLL).await;
        }
    }

    /// Proposes an entry, so that the state machine of each replica looks whether a flush is due,
    /// also when nobody writes. The followers have the same to do at the same time.
    async fn tick(&self) {
        if self.group.is_leader() {
            // An error is ignored: if leadership is lost, another node's ticks come.
            let ticking = self.group.propose(self.shared.entry(Body::Tick));
            let _ = tokio::time::timeout(TICK_TIMEOUT, ticking).await;
        }
    }
}

/// The work that a step leaves.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// To go on from here.
    On(Vec<u8>),
    /// Nothing.
    End,
    /// To look again at the same place: a range began to arrive.
    Again,
}

/// Looks, and removes the elements found.
fn step(shared: &Shared, interval: &Interval) -> Result<Step, Fault> {
    let garbage = &shared.garbage;
    let arriving = garbage.arriving();
    let published = shared.published();
    let engine = published.engine.as_ref();
    let mut looked = None;
    engine.read_consistently(&mut |reader| {
        looked = Some(look::look(reader, interval, &arriving.bounds));
    });
    let Found {
        removed,
        bytes,
        next,
    } = looked.ok_or("the store gave no view")??;
    if !removed.is_empty() {
        let count = removed.len() as u64;
        let mut batch = Batch::default();
        removed.into_iter().for_each(|key| batch.delete(key));
        match garbage.unless_arriving(arriving.generation, || engine.write(batch)) {
            Some(written) => written?,
            None => return Ok(Step::Again),
        }
        garbage.count(count, bytes);
    }
    Ok(next.map_or(Step::End, Step::On))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use coterie_group::{Entry, RangeChange};
    use coterie_raft::StateMachine as _;
    use coterie_storage::{Reader, RocksShared};
    use coterie_types::{
        Epoch, GroupId, KeyRange, LogIndex, RangeDescriptor, RangeId, TableId, Term, UnixMillis,
        Version,
    };

    use super::super::machine::Machine;
    use super::*;

    const T: TableId = TableId(0);

    fn open(dir: &std::path::Path) -> (Machine, Arc<Shared>) {
        let rocks = RocksShared::new(1 << 20, 0).unwrap();
        Machine::open(GroupId(1), dir, &rocks, 1 << 20).unwrap()
    }

    fn apply(machine: &mut Machine, index: u64, body: Body) {
        let entry = Entry {
            clock: UnixMillis(index),
            seed: 0,
            value_bytes_max: 1 << 20,
            body,
        };
        let entry = coterie_raft::Entry {
            term: Term(1),
            index: LogIndex(index),
            applied: Bytes::from(index.to_string()),
            payload: Some(entry.encode()),
        };
        machine.apply(vec![entry]).unwrap();
    }

    fn element(key: &str, change: u64, n: usize) -> Vec<u8> {
        let group = GroupId(1);
        let incarnation = Version { group, change };
        layout::element_key((T, key.as_bytes()), incarnation, 0, &n.to_be_bytes())
    }

    fn fill(shared: &Shared, key: &str, change: u64, count: usize) {
        let mut batch = Batch::default();
        (0..count).for_each(|n| batch.put(element(key, change, n), vec![b'v'; 100]));
        shared.published().engine.write(batch).unwrap();
    }

    fn head(shared: &Shared, key: &str, change: u8) {
        let mut batch = Batch::default();
        let header = vec![0x11, 1, 200, 1, 1, change, 1];
        batch.put(layout::header_key(T, key.as_bytes()), header);
        shared.published().engine.write(batch).unwrap();
    }

    fn count(shared: &Shared) -> usize {
        let [_, (start, end)] = layout::all_intervals();
        let mut count = 0;
        let mut visit = |_: &[u8], _: &[u8]| {
            count += 1;
            true
        };
        let engine = &shared.published().engine;
        engine.scan(&start, &end, &mut visit).unwrap();
        count
    }

    /// Reclaims as the job does.
    fn reclaim(shared: &Shared) {
        let [_, (mut from, end)] = layout::all_intervals();
        loop {
            match step(shared, &(from, end.clone())).unwrap() {
                Step::On(next) => from = next,
                Step::End => return,
                Step::Again => panic!("nothing begins to arrive"),
            }
        }
    }

    #[test]
    fn lost_elements_go_and_a_collection_rebuilt_under_the_same_name_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (mut machine, shared) = open(dir.path());
        head(&shared, "live", 2);
        fill(&shared, "live", 2, 3_000);
        for key in ["a", "b"] {
            fill(&shared, key, 2, 3_000);
            fill(&shared, key, 3, 10);
        }
        fill(&shared, "live", 1, 10);
        reclaim(&shared);
        assert_eq!(count(&shared), 3_000);
        let garbage = &shared.garbage;
        assert_eq!(garbage.elements_total.load(Ordering::Relaxed), 6_030);
        // Rebuilt under the same name, and deleted again.
        fill(&shared, "a", 9, 2_000);
        head(&shared, "a", 9);
        reclaim(&shared);
        assert_eq!(count(&shared), 5_000);
        apply(&mut machine, 1, Body::Tick);
        machine.flush().unwrap();
        while machine.durable().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(machine);
        drop(shared);
        let (_machine, shared) = open(dir.path());
        assert_eq!(count(&shared), 5_000);
        assert!(
            shared.garbage.is_due(),
            "a store with elements is looked through"
        );
    }

    #[test]
    fn what_arrives_is_not_taken_for_garbage() {
        let dir = tempfile::tempdir().unwrap();
        let (mut machine, shared) = open(dir.path());
        let range = RangeDescriptor {
            range_id: RangeId(1),
            bounds: KeyRange::all(T),
            epoch: Epoch(2),
            group_id: GroupId(1),
        };
        let before = shared.garbage.arriving().generation;
        let source = GroupId(2);
        let begin = RangeChange::BeginImport { range, source };
        apply(&mut machine, 1, Body::Change(begin));
        // The removals of a look from before.
        let removed = shared.garbage.unless_arriving(before, || ());
        assert_eq!(removed, None);
        fill(&shared, "k", 1, 2_000);
        fill(&shared, "k", 2, 2);
        reclaim(&shared);
        assert_eq!(count(&shared), 2_002);
        let (range_id, epoch) = (RangeId(1), Epoch(2));
        let cancel = RangeChange::CancelImport { range_id, epoch };
        apply(&mut machine, 2, Body::Change(cancel));
        reclaim(&shared);
        assert_eq!(count(&shared), 0);
    }

    #[test]
    fn keys_that_lose_a_header_are_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let (_machine, shared) = open(dir.path());
        let (garbage, engine) = (&shared.garbage, Arc::clone(&shared.published().engine));
        let note = |records: &[(&str, Option<u8>)], elements: &[(&str, u64)]| {
            let mut effects = coterie_group::Effects::default();
            for (key, change) in records {
                let record = change.map(|change| {
                    let raw = vec![0x11, 1, 200, 1, 1, change, 1];
                    coterie_redis_compat::Record::decode(Bytes::from(raw)).unwrap()
                });
                let key = Bytes::copy_from_slice(key.as_bytes());
                effects.changes.records.insert((T, key), record);
            }
            for (key, change) in elements {
                let (group, change) = (GroupId(1), *change);
                let of = coterie_redis_compat::Collection {
                    table: T,
                    key: Bytes::copy_from_slice(key.as_bytes()),
                    incarnation: Version { group, change },
                };
                let (family, element) = (0, Bytes::new());
                let place = coterie_redis_compat::ElementPlace {
                    of,
                    family,
                    element,
                };
                effects.changes.elements.insert(place, Some(Bytes::new()));
            }
            garbage.note(&effects, &engine);
            let keys = garbage.take_keys().into_iter();
            keys.map(|(_, key)| String::from_utf8(key.to_vec()).unwrap())
                .collect::<Vec<_>>()
        };
        let none: [&str; 0] = [];
        head(&shared, "k", 5);
        assert_eq!(note(&[("k", None)], &[]), none, "nothing has elements yet");
        assert_eq!(note(&[("k", Some(5))], &[("k", 5)]), none);
        assert_eq!(note(&[("k", None)], &[]), ["k"]);
        assert_eq!(note(&[("k", Some(6))], &[("k", 6)]), ["k"]);
        assert_eq!(note(&[("new", Some(6))], &[("new", 6)]), none);
        // Made and deleted by the same entry.
        assert_eq!(note(&[("brief", None)], &[("brief", 7)]), ["brief"]);
    }
}
