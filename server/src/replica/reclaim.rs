//! Reclaims the elements that no header names: of collections that were deleted, replaced, or have
//! expired. Nobody sees them, and no digest counts them, so every replica removes them by itself,
//! outside the log.
//!
//! Applying tells which keys lost a header (`garbage`); their elements are looked for a moment
//! later. Where that could not be told, all elements are looked through, every few minutes, by two
//! seeks for each collection. An idle replica does nothing.
//!
//! A look decides over one view of the store ([`look`]). What it decides stays right: a version is
//! never an incarnation twice, so no later entry names the incarnation again. The one exception is
//! an arriving range, whose elements arrive before their headers, and whose collections may have
//! been here before. Nothing is removed there, and the removals of a look are dropped when a range
//! began to arrive since.
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
/// Longest wait for intervals to be cleared.
const CLEARED_WITHIN: Duration = Duration::from_secs(30);
/// How often to check whether intervals are cleared.
const CLEARED_POLL: Duration = Duration::from_millis(50);
/// Pause after the store could not be read or written.
const FAULT_PAUSE: Duration = Duration::from_secs(30);
/// Unflushed bytes above which nothing is removed: removals take memory until they are flushed.
const UNFLUSHED_MAX: usize = 16 << 20;

/// Runs until `stop`.
pub(super) async fn run(group: Group, shared: Arc<Shared>, stop: CancellationToken) {
    let reclaiming = async {
        loop {
            let whole = shared.garbage.wanted().await;
            tokio::time::sleep(DELAY).await;
            let began = Instant::now();
            let reclaimed = reclaim(&group, &shared, whole).await;
            let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            let total = &shared.garbage.millis_total;
            total.fetch_add(millis, Ordering::Relaxed);
            if let Err(fault) = reclaimed {
                tracing::error!(group_id = %group.id(), error = %fault, "elements not reclaimed");
                tokio::time::sleep(FAULT_PAUSE).await;
                shared.garbage.want_all();
            }
        }
    };
    stop.run_until_cancelled(reclaiming).await;
}

/// Looks through the keys that lost a header, or through all elements.
async fn reclaim(group: &Group, shared: &Arc<Shared>, whole: bool) -> Result<(), Fault> {
    if whole {
        shared.garbage.begin_pass();
        let [_, all] = layout::all_intervals();
        return reclaim_in(group, shared, all).await;
    }
    for (table, key) in shared.garbage.take_keys() {
        reclaim_in(group, shared, layout::elements_interval(table, &key)).await?;
    }
    Ok(())
}

/// Reclaims the elements of an interval that no header names.
async fn reclaim_in(
    group: &Group,
    shared: &Arc<Shared>,
    (mut from, end): Interval,
) -> Result<(), Fault> {
    loop {
        make_room(group, shared).await;
        let (looking, interval) = (Arc::clone(shared), (from.clone(), end.clone()));
        let step = tokio::task::spawn_blocking(move || step(&looking, &interval));
        match step.await?? {
            Step::On { next, has_cleared } => {
                if has_cleared {
                    wait_until_cleared(group, shared).await;
                }
                match next {
                    Some(next) => from = next,
                    None => return Ok(()),
                }
            }
            Step::Again => {}
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What a step leaves to do.
enum Step {
    /// To go on at `next`, if it is not the end.
    On {
        next: Option<Vec<u8>>,
        /// Intervals are to be cleared with the next flush.
        has_cleared: bool,
    },
    /// To look again at the same place: a range began to arrive.
    Again,
}

/// Looks, and removes what was found.
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
        intervals,
        next,
    } = looked.ok_or("the store gave no view")??;
    // Whoever announces a range waits until nothing is being cleared.
    let may_clear = arriving.bounds.is_empty() && !engine.is_clearing();
    let next = match intervals.first() {
        Some((start, _)) if !may_clear => Some(start.clone()),
        _ => next,
    };
    let has_cleared = may_clear && !intervals.is_empty();
    let sizes = if has_cleared {
        engine.approximate_sizes(&intervals)
    } else {
        Vec::new()
    };
    let count = removed.len() as u64;
    let mut batch = Batch::default();
    removed.into_iter().for_each(|key| batch.delete(key));
    let done = garbage.unless_arriving(arriving.generation, || {
        if has_cleared {
            engine.clear_with_flush(intervals);
        }
        engine.write(batch)
    });
    match done {
        Some(written) => written?,
        None => return Ok(Step::Again),
    }
    garbage.count(count, sizes.len() as u64, bytes + sizes.iter().sum::<u64>());
    Ok(Step::On { next, has_cleared })
}

/// Waits while many bytes are not flushed.
async fn make_room(group: &Group, shared: &Shared) {
    let is_full = || shared.published().engine.unflushed_bytes() > UNFLUSHED_MAX;
    while is_full() {
        tick(group, shared).await;
        tokio::time::sleep(CLEARED_POLL.saturating_mul(20)).await;
    }
}

/// Waits until the announced intervals are cleared: the flush for that begins with an entry.
async fn wait_until_cleared(group: &Group, shared: &Shared) {
    let until = Instant::now() + CLEARED_WITHIN;
    while shared.published().engine.is_clearing() && Instant::now() < until {
        tick(group, shared).await;
        tokio::time::sleep(CLEARED_POLL).await;
    }
}

/// Has the state machine look whether a flush is due, also when nobody writes. The followers have
/// the same to do at the same time.
async fn tick(group: &Group, shared: &Shared) {
    if group.is_leader() {
        // An error is ignored: if leadership is lost, another node's ticks come.
        let ticking = group.propose(shared.entry(Body::Tick));
        let _ = tokio::time::timeout(CLEARED_WITHIN, ticking).await;
    }
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

    /// Reclaims as the job does, with an entry where intervals are to be cleared.
    fn reclaim(machine: &mut Machine, shared: &Shared, index: &mut u64) {
        let [_, (mut from, end)] = layout::all_intervals();
        loop {
            let step = step(shared, &(from.clone(), end.clone())).unwrap();
            let Step::On { next, has_cleared } = step else {
                panic!("nothing begins to arrive");
            };
            if has_cleared {
                *index += 1;
                apply(machine, *index, Body::Tick);
                let [_, all] = layout::all_intervals();
                shared.published().engine.wait_until_cleared(&all);
            }
            match next {
                Some(next) => from = next,
                None => return,
            }
        }
    }

    #[test]
    fn small_collections_go_by_element_and_large_ones_with_a_flush() {
        let dir = tempfile::tempdir().unwrap();
        let (mut machine, shared) = open(dir.path());
        let mut index = 1;
        apply(&mut machine, index, Body::Tick);
        head(&shared, "live", 2);
        fill(&shared, "live", 2, 3_000);
        for key in ["a", "b"] {
            fill(&shared, key, 2, 3_000);
            fill(&shared, key, 3, 10);
        }
        fill(&shared, "live", 1, 10);
        reclaim(&mut machine, &shared, &mut index);
        assert_eq!(count(&shared), 3_000);
        let garbage = &shared.garbage;
        let number =
            |of: &std::sync::atomic::AtomicU64| of.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(number(&garbage.elements_total), 30);
        assert_eq!(number(&garbage.collections_total), 2);
        // Rebuilt under the same name, and deleted again.
        fill(&shared, "a", 9, 2_000);
        head(&shared, "a", 9);
        reclaim(&mut machine, &shared, &mut index);
        assert_eq!(count(&shared), 5_000);
        apply(&mut machine, index + 1, Body::Tick);
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
        reclaim(&mut machine, &shared, &mut 1);
        assert_eq!(count(&shared), 2_002);
        let (range_id, epoch) = (RangeId(1), Epoch(2));
        let cancel = RangeChange::CancelImport { range_id, epoch };
        apply(&mut machine, 2, Body::Change(cancel));
        reclaim(&mut machine, &shared, &mut 2);
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
