//! What a replica's machine, proposer, readers and sweeper know of each other.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::{ArcSwap, Guard};
use bytes::Bytes;
use coterie_group::{Body, Entry, GroupClock, ReadState};
use coterie_storage::RocksEngine;
use coterie_types::{Epoch, RangeDescriptor, RangeId, UnixMillis};
use tokio::sync::watch;

use super::digests::Digests;
use super::load::Loads;
use crate::mean::Mean;

/// The store and the state as of one applied entry. Published after the entry is in the store and
/// before its replies leave, so that who was answered reads what it wrote.
pub(crate) struct Published {
    pub(crate) engine: Arc<RocksEngine>,
    pub(crate) read: ReadState,
}

pub(crate) struct Shared {
    published: ArcSwap<Published>,
    clock: Mutex<GroupClock>,
    started: Instant,
    /// Bytes of the longest value that commands may make while this node leads.
    value_bytes_max: u64,
    /// Rises when what the group owns or awaits has changed.
    ownership_changed: watch::Sender<u64>,
    moves: Mutex<Moves>,
    /// What each range costs.
    pub(crate) loads: Loads,
    /// What the records came to.
    pub(crate) digests: Arc<Digests>,
    /// How long an entry took to apply, lately.
    pub(crate) apply_time: Mean,
    /// Nanoseconds of CPU that applying took since the process started.
    pub(crate) apply_cpu_nanos: AtomicU64,
    /// Read commands served since the process started.
    pub(crate) reads_total: AtomicU64,
    /// Frames applied with this replica as proposer since the process started.
    pub(crate) writes_total: AtomicU64,
    /// How often a frame had to wait for another entry than the one it was in.
    pub(crate) put_off_total: AtomicU64,
}

/// What this process knows of moves besides the log. Bounded by the ranges that move.
#[derive(Debug, Default)]
struct Moves {
    /// When ranges were given up, of those that were while this process looked.
    given_up: BTreeMap<(RangeId, Epoch), Instant>,
    /// Ranges whose new owner has said that it serves them, and how long after they were given up.
    told: BTreeMap<(RangeId, Epoch), Option<Duration>>,
    /// About how many bytes the sources have.
    sizes: BTreeMap<RangeId, u64>,
    /// Why imports do not go on.
    problems: BTreeMap<RangeId, String>,
    /// Bytes that arrived with imports that ended a moment ago, and when: not on disk yet.
    imported: BTreeMap<RangeId, (u64, Instant)>,
}

/// How long it may take until what arrived is in files.
const IMPORTED_FOR: Duration = Duration::from_secs(30);

impl Shared {
    pub(crate) fn new(published: Published, value_bytes_max: u64) -> Self {
        let mut clock = GroupClock::default();
        clock.observe(published.read.clock(), Duration::ZERO);
        Self {
            published: ArcSwap::from_pointee(published),
            clock: Mutex::new(clock),
            started: Instant::now(),
            value_bytes_max,
            ownership_changed: watch::Sender::new(0),
            moves: Mutex::default(),
            loads: Loads::new(),
            digests: Arc::default(),
            apply_time: Mean::default(),
            apply_cpu_nanos: AtomicU64::new(0),
            reads_total: AtomicU64::new(0),
            writes_total: AtomicU64::new(0),
            put_off_total: AtomicU64::new(0),
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

    /// Tells when what the group owns or awaits has changed.
    pub(crate) fn ownership_changed(&self) -> watch::Receiver<u64> {
        self.ownership_changed.subscribe()
    }

    /// Whether the new owner of a range that was handed off serves it, as far as this process knows.
    pub(crate) fn is_told(&self, range: &RangeDescriptor) -> bool {
        self.moves()
            .told
            .contains_key(&(range.range_id, range.epoch))
    }

    /// How long nobody served a range that was handed off, if this process saw its beginning and its
    /// end.
    pub(crate) fn pause_of(&self, range: &RangeDescriptor) -> Option<Duration> {
        let told = &self.moves().told;
        told.get(&(range.range_id, range.epoch)).copied().flatten()
    }

    /// The new owner of a range has said that it serves it.
    pub(crate) fn set_told(&self, range: &RangeDescriptor) {
        let key = (range.range_id, range.epoch);
        {
            let mut moves = self.moves();
            let pause = moves.given_up.get(&key).map(Instant::elapsed);
            // The first word counts: it may be asked again.
            moves.told.entry(key).or_insert(pause);
        }
        self.ownership_changed.send_modify(|count| *count += 1);
    }

    /// About how many bytes the source of an import has, once that was asked.
    pub(crate) fn import_size(&self, range_id: RangeId) -> Option<u64> {
        self.moves().sizes.get(&range_id).copied()
    }

    /// The source of an import has about so many bytes.
    pub(crate) fn set_import_size(&self, range_id: RangeId, bytes: u64) {
        self.moves().sizes.insert(range_id, bytes);
    }

    /// The import of a range has ended with so many bytes.
    pub(crate) fn set_imported(&self, range_id: RangeId, bytes: u64) {
        let imported = &mut self.moves().imported;
        imported.retain(|_, (_, at)| at.elapsed() < IMPORTED_FOR);
        imported.insert(range_id, (bytes, Instant::now()));
    }

    /// Bytes of a range that have arrived, while they may not be in files yet.
    pub(crate) fn arrived_bytes(&self, range_id: RangeId) -> u64 {
        if let Some(import) = self.published().read.import(range_id) {
            return import.copied().bytes;
        }
        self.imported_bytes(range_id)
    }

    /// With how many bytes the import of a range ended, if this process did it lately.
    pub(crate) fn imported_bytes(&self, range_id: RangeId) -> u64 {
        let moves = self.moves();
        let imported = moves.imported.get(&range_id);
        imported.map_or(0, |(bytes, at)| match at.elapsed() < IMPORTED_FOR {
            true => *bytes,
            false => 0,
        })
    }

    /// Why an import does not go on, if so.
    pub(crate) fn import_problem(&self, range_id: RangeId) -> Option<String> {
        self.moves().problems.get(&range_id).cloned()
    }

    /// Notes why an import does not go on, or that it does; whether that is news.
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

    /// Notes when ranges were given up that were not before.
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

    /// Forgets what was noted of moves that are over.
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
    }

    fn moves(&self) -> std::sync::MutexGuard<'_, Moves> {
        self.moves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The group clock, as a leader gives it to the next entry or read.
    pub(crate) fn now(&self) -> UnixMillis {
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let wall = UnixMillis(u64::try_from(wall.as_millis()).unwrap_or(u64::MAX));
        self.clock().read(wall, self.started.elapsed())
    }

    /// An entry's bytes, with the time and the chance of now.
    pub(crate) fn entry(&self, body: Body) -> Bytes {
        let entry = Entry {
            clock: self.now(),
            seed: seed(),
            value_bytes_max: self.value_bytes_max,
            body,
        };
        entry.encode()
    }

    /// Learns the clock of an applied entry.
    pub(crate) fn observe(&self, clock: UnixMillis) {
        self.clock().observe(clock, self.started.elapsed());
    }

    fn clock(&self) -> std::sync::MutexGuard<'_, GroupClock> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The chance of an entry or a read: drawn once per process from the system, which is asked by a
/// call too slow for every read, then counted on (the reader mixes it: SplitMix64).
pub(crate) fn seed() -> u64 {
    static FIRST: OnceLock<u64> = OnceLock::new();
    static DRAWN: AtomicU64 = AtomicU64::new(0);
    let first = *FIRST.get_or_init(|| {
        let mut bytes = [0; 8];
        // Without it `RANDOMKEY` is less random, and nothing worse.
        if let Err(error) = getrandom::fill(&mut bytes) {
            tracing::warn!(%error, "no random bytes");
        }
        u64::from_le_bytes(bytes)
    });
    let drawn = DRAWN.fetch_add(1, Ordering::Relaxed);
    first.wrapping_add(drawn.wrapping_mul(0xd1b5_4a32_d192_ed03))
}
