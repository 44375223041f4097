//! State shared by the tasks of one replica: the published read state, the group clock, progress of
//! moves, counters.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::{ArcSwap, Guard};
use bytes::Bytes;
use coterie_group::{Agreed, Body, Entry, GroupClock, ReadState};
use coterie_raft::VoterWalls;
use coterie_storage::RocksEngine;
use coterie_types::{Epoch, RangeDescriptor, RangeId, UnixMillis};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use super::digests::Digests;
use super::load::Loads;
use super::reclaim::Garbage;
use crate::mean::Mean;
use crate::scripts::Busy;

/// The store and the state after one applied entry. Published once the entry is in the store and
/// before its replies leave, so that a client reads its own acknowledged writes.
pub(crate) struct Published {
    pub(crate) engine: Arc<RocksEngine>,
    pub(crate) read: ReadState,
}

pub(crate) struct Shared {
    published: ArcSwap<Published>,
    clock: Mutex<Clock>,
    /// The wall clocks of the group's voters, once the group has started.
    walls: OnceLock<VoterWalls>,
    started: Instant,
    /// Bytes of the longest value that commands may make while this node leads.
    value_bytes_max: u64,
    /// Rises when the ranges that the group owns or awaits change, or a new owner confirms a
    /// hand-off.
    ownership_changed: watch::Sender<u64>,
    moves: Mutex<Moves>,
    /// Rises when a key is wanted (`Shared::want`).
    wanted_changed: watch::Sender<u64>,
    /// Rises when a wanted key has arrived.
    wanted_arrived: watch::Sender<u64>,
    /// The load of each range.
    pub(crate) loads: Loads,
    /// What is left to the job that reclaims elements.
    pub(crate) garbage: Garbage,
    /// Digests of the records.
    pub(crate) digests: Arc<Digests>,
    /// Mean time to apply an entry, lately.
    pub(crate) apply_time: Mean,
    /// Nanoseconds of CPU that applying took since the process started.
    pub(crate) apply_cpu_nanos: AtomicU64,
    /// Read commands served since the process started.
    pub(crate) reads_total: AtomicU64,
    /// Frames applied with this replica as proposer since the process started.
    pub(crate) writes_total: AtomicU64,
    /// How often a frame was put off to a later entry.
    pub(crate) put_off_total: AtomicU64,
    /// The script that other frames wait for.
    pub(crate) busy: Busy,
    /// How often a frame with scripts was run again, since the state had changed meanwhile.
    pub(crate) script_reruns_total: AtomicU64,
    /// The replica has stopped because the disk had no room.
    pub(crate) lacked_room: AtomicBool,
}

/// Progress of moves that this process knows and the log does not hold. Bounded by the ranges that
/// move.
#[derive(Debug, Default)]
struct Moves {
    /// When ranges were handed off, of those that left while this process looked.
    given_up: BTreeMap<(RangeId, Epoch), Instant>,
    /// Ranges whose new owner has confirmed that it serves them, and how long after the hand-off.
    told: BTreeMap<(RangeId, Epoch), Option<Duration>>,
    /// Approximate bytes of the ranges at their sources.
    sizes: BTreeMap<RangeId, u64>,
    /// Why imports are stuck.
    problems: BTreeMap<RangeId, String>,
    /// Bytes of imports that ended a moment ago, and when they ended: the bytes are not on disk
    /// yet.
    imported: BTreeMap<RangeId, (u64, Instant)>,
    /// Keys whose elements are to arrive next, since writes wait for them. Each is copied in turn.
    wanted: BTreeMap<RangeId, VecDeque<Bytes>>,
}

/// The group clock, and the wall clocks that steer it.
#[derive(Default)]
struct Clock {
    group: GroupClock,
    /// When a majority's wall clocks were read last, by the monotonic clock; `None` if they are
    /// unknown.
    agreed_at: Option<Duration>,
    /// This node's own wall clock is far from theirs.
    is_off: bool,
    /// The clock stands still while scripts run.
    held: Option<UnixMillis>,
}

/// Keys of a range that are wanted at a time, at most. Writes to other keys are tried again later.
const WANTED_MAX: usize = 32;

/// How often a majority's wall clocks are read, while they are known.
const AGREED_FOR: Duration = Duration::from_millis(100);
/// A wall clock at least this far from a majority's is reported.
const OFF_MIN: Duration = Duration::from_secs(1);

/// How long arrived records may take to reach files.
const IMPORTED_FOR: Duration = Duration::from_secs(30);

impl Shared {
    pub(crate) fn new(published: Published, value_bytes_max: u64) -> Self {
        let mut clock = Clock::default();
        clock.group.observe(published.read.clock(), Duration::ZERO);
        Self {
            published: ArcSwap::from_pointee(published),
            clock: Mutex::new(clock),
            walls: OnceLock::new(),
            started: Instant::now(),
            value_bytes_max,
            ownership_changed: watch::Sender::new(0),
            moves: Mutex::default(),
            wanted_changed: watch::Sender::new(0),
            wanted_arrived: watch::Sender::new(0),
            loads: Loads::new(),
            garbage: Garbage::new(),
            digests: Arc::default(),
            apply_time: Mean::default(),
            apply_cpu_nanos: AtomicU64::new(0),
            reads_total: AtomicU64::new(0),
            writes_total: AtomicU64::new(0),
            put_off_total: AtomicU64::new(0),
            busy: Busy::default(),
            script_reruns_total: AtomicU64::new(0),
            lacked_room: AtomicBool::new(false),
        }
    }

    pub(crate) fn published(&self) -> Guard<Arc<Published>> {
        self.published.load()
    }

    pub(crate) fn publish(&self, published: Published) {
        let before = self.published.swap(Arc::new(published));
        if !before.read.same_ownership(&self.published().read) {
            self.forget_moves();
            self.note_given_up(&before);
            self.ownership_changed.send_modify(|count| *count += 1);
        }
    }

    /// Notifies when the ranges that the group owns or awaits change, or a new owner confirms a
    /// hand-off.
    pub(crate) fn ownership_changed(&self) -> watch::Receiver<u64> {
        self.ownership_changed.subscribe()
    }

    /// Whether the new owner of a handed-off range serves it, as far as this process knows.
    pub(crate) fn is_told(&self, range: &RangeDescriptor) -> bool {
        self.moves()
            .told
            .contains_key(&(range.range_id, range.epoch))
    }

    /// How long nobody served a range that was handed off, if this process saw the beginning and
    /// the end of the pause.
    pub(crate) fn pause_of(&self, range: &RangeDescriptor) -> Option<Duration> {
        let told = &self.moves().told;
        told.get(&(range.range_id, range.epoch)).copied().flatten()
    }

    /// Notes that the new owner of a range serves it.
    pub(crate) fn set_told(&self, range: &RangeDescriptor) {
        let key = (range.range_id, range.epoch);
        {
            let mut moves = self.moves();
            let pause = moves.given_up.get(&key).map(Instant::elapsed);
            // The first word counts: the new owner may be asked again.
            moves.told.entry(key).or_insert(pause);
        }
        self.ownership_changed.send_modify(|count| *count += 1);
    }

    /// Approximate bytes of an imported range at its source, once the source was asked.
    pub(crate) fn import_size(&self, range_id: RangeId) -> Option<u64> {
        self.moves().sizes.get(&range_id).copied()
    }

    /// Notes the approximate bytes of an imported range at its source.
    pub(crate) fn set_import_size(&self, range_id: RangeId, bytes: u64) {
        self.moves().sizes.insert(range_id, bytes);
    }

    /// Notes that the import of a range has ended, and its bytes.
    pub(crate) fn set_imported(&self, range_id: RangeId, bytes: u64) {
        let imported = &mut self.moves().imported;
        imported.retain(|_, (_, at)| at.elapsed() < IMPORTED_FOR);
        imported.insert(range_id, (bytes, Instant::now()));
    }

    /// Arrived bytes of a range that may not be in files yet.
    pub(crate) fn arrived_bytes(&self, range_id: RangeId) -> u64 {
        if let Some(import) = self.published().read.import(range_id) {
            return import.copied().bytes;
        }
        self.imported_bytes(range_id)
    }

    /// Bytes of an import that this process has finished lately; 0 if there is none.
    pub(crate) fn imported_bytes(&self, range_id: RangeId) -> u64 {
        let moves = self.moves();
        let imported = moves.imported.get(&range_id);
        imported.map_or(0, |(bytes, at)| {
            if at.elapsed() < IMPORTED_FOR {
                *bytes
            } else {
                0
            }
        })
    }

    /// Why an import is stuck, if it is.
    pub(crate) fn import_problem(&self, range_id: RangeId) -> Option<String> {
        self.moves().problems.get(&range_id).cloned()
    }

    /// Notes why an import is stuck, or that it is not. Returns whether that is news.
    pub(crate) fn set_import_problem(&self, range_id: RangeId, problem: Option<String>) -> bool {
        let problems = &mut self.moves().problems;
        if problems.get(&range_id) == problem.as_ref() {
            return false;
        }
        match problem {
            Some(problem) => drop(problems.insert(range_id, problem)),
            None => drop(problems.remove(&range_id)),
        }
        true
    }

    /// Asks the importer of a range to copy the elements of this key next.
    pub(crate) fn want(&self, range_id: RangeId, key: Bytes) {
        {
            let mut moves = self.moves();
            let wanted = moves.wanted.entry(range_id).or_default();
            if wanted.len() >= WANTED_MAX || wanted.contains(&key) {
                return;
            }
            wanted.push_back(key);
        }
        self.wanted_changed.send_modify(|count| *count += 1);
    }

    /// A wanted key of a range; each in turn.
    pub(crate) fn next_wanted(&self, range_id: RangeId) -> Option<Bytes> {
        let mut moves = self.moves();
        let wanted = moves.wanted.get_mut(&range_id)?;
        wanted.rotate_left(usize::from(!wanted.is_empty()));
        wanted.back().cloned()
    }

    /// Notes that a wanted key has arrived, or needs not arrive.
    pub(crate) fn set_arrived(&self, range_id: RangeId, key: &Bytes) {
        if let Some(wanted) = self.moves().wanted.get_mut(&range_id) {
            wanted.retain(|other| other != key);
        }
        self.wanted_arrived.send_modify(|count| *count += 1);
    }

    /// Notifies when a key is wanted.
    pub(crate) fn wanted_changed(&self) -> watch::Receiver<u64> {
        self.wanted_changed.subscribe()
    }

    /// Notifies when a wanted key has arrived.
    pub(crate) fn wanted_arrived(&self) -> watch::Receiver<u64> {
        self.wanted_arrived.subscribe()
    }

    /// Notes the time of new hand-offs.
    fn note_given_up(&self, before: &Published) {
        let published = self.published();
        let known = before.read.ownership().frozen();
        let now = Instant::now();
        let mut moves = self.moves();
        for range in published.read.ownership().frozen() {
            if !known.contains(range) {
                moves.given_up.insert((range.range_id, range.epoch), now);
            }
        }
    }

    /// Drops notes of moves that are over.
    fn forget_moves(&self) {
        let published = self.published();
        let ownership = published.read.ownership();
        let mut moves = self.moves();
        let is_frozen = |key: &(RangeId, Epoch)| {
            let mut frozen = ownership.frozen().iter();
            frozen.any(|range| (range.range_id, range.epoch) == *key)
        };
        moves.told.retain(|key, _| is_frozen(key));
        moves.given_up.retain(|key, _| is_frozen(key));
        let importing = |range_id: &RangeId| {
            let mut importing = ownership.importing().iter();
            importing.any(|arriving| arriving.range.range_id == *range_id)
        };
        moves.sizes.retain(|range_id, _| importing(range_id));
        moves.problems.retain(|range_id, _| importing(range_id));
        moves.wanted.retain(|range_id, _| importing(range_id));
    }

    fn moves(&self) -> MutexGuard<'_, Moves> {
        self.moves.lock()
    }

    /// The group clock, as a leader gives it to the next entry or read.
    pub(crate) fn now(&self) -> UnixMillis {
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let now = self.started.elapsed();
        let mut clock = self.clock();
        if let Some(held) = clock.held {
            return held;
        }
        if clock.agreed_at.is_none_or(|at| now - at >= AGREED_FOR) {
            let walls = self.walls.get();
            let agreed = walls.and_then(|walls| Agreed::of(&walls.read()));
            clock.agreed_at = agreed.map(|_| now);
            clock.group.agree(agreed, now);
            clock.look_at_own(wall, agreed);
        }
        clock.group.read(wall, now)
    }

    /// The group clock, which stands still from here on, until [`Shared::release_clock`].
    pub(crate) fn hold_clock(&self) -> UnixMillis {
        let now = self.now();
        self.clock().held = Some(now);
        now
    }

    /// The clock goes on.
    pub(crate) fn release_clock(&self) {
        self.clock().held = None;
    }

    /// From now on the wall clocks of the group's voters steer the group clock.
    pub(crate) fn set_walls(&self, walls: VoterWalls) {
        // Set once, when the group has started.
        let _ = self.walls.set(walls);
    }

    /// Encodes an entry with the current group clock and a new seed.
    pub(crate) fn entry(&self, body: Body) -> Bytes {
        self.entry_of(self.now(), seed(), body)
    }

    /// Encodes an entry with this clock and seed.
    pub(crate) fn entry_of(&self, clock: UnixMillis, seed: u64, body: Body) -> Bytes {
        let entry = Entry {
            clock,
            seed,
            value_bytes_max: self.value_bytes_max,
            body,
        };
        entry.encode()
    }

    /// Bytes of the longest value that commands may make while this node leads.
    pub(crate) fn value_bytes_max(&self) -> u64 {
        self.value_bytes_max
    }

    /// Learns the clock of an applied entry.
    pub(crate) fn observe(&self, clock: UnixMillis) {
        self.clock().group.observe(clock, self.started.elapsed());
    }

    fn clock(&self) -> MutexGuard<'_, Clock> {
        self.clock.lock()
    }
}

impl Clock {
    /// Reports when this node's wall clock is far from a majority's, and when it is right again.
    fn look_at_own(&mut self, wall: Duration, agreed: Option<Agreed>) {
        let Some(distance) = agreed.map(|agreed| agreed.distance(wall)) else {
            return;
        };
        let is_off = distance >= OFF_MIN;
        if is_off != self.is_off {
            let off_ms = u64::try_from(distance.as_millis()).unwrap_or(u64::MAX);
            if is_off {
                tracing::warn!(off_ms, "this node's wall clock is not a majority's")
            } else {
                tracing::info!("this node's wall clock is a majority's again")
            }
            self.is_off = is_off;
        }
    }
}

/// The random seed of an entry or a read. The first comes from the system, once per process,
/// because that call is too slow for every read. The following seeds count on from it, and the
/// reader mixes them (SplitMix64).
pub(crate) fn seed() -> u64 {
    static FIRST: OnceLock<u64> = OnceLock::new();
    static DRAWN: AtomicU64 = AtomicU64::new(0);
    let first = *FIRST.get_or_init(|| {
        let mut bytes = [0; 8];
        // Without random bytes `RANDOMKEY` is less random; nothing worse happens.
        if let Err(error) = getrandom::fill(&mut bytes) {
            tracing::warn!(%error, "no random bytes");
        }
        u64::from_le_bytes(bytes)
    });
    let drawn = DRAWN.fetch_add(1, Ordering::Relaxed);
    first.wrapping_add(drawn.wrapping_mul(0xd1b5_4a32_d192_ed03))
}
