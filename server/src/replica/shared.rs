//! What a replica's machine, proposer, readers and sweeper know of each other.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::{ArcSwap, Guard};
use bytes::Bytes;
use coterie_group::{Body, Entry, GroupClock, ReadState};
use coterie_storage::RocksEngine;
use coterie_types::UnixMillis;

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
    /// Read commands served since the process started.
    pub(crate) reads_total: AtomicU64,
    /// Frames applied with this replica as proposer since the process started.
    pub(crate) writes_total: AtomicU64,
}

impl Shared {
    pub(crate) fn new(published: Published, value_bytes_max: u64) -> Self {
        let mut clock = GroupClock::default();
        clock.observe(published.read.clock(), Duration::ZERO);
        Self {
            published: ArcSwap::from_pointee(published),
            clock: Mutex::new(clock),
            started: Instant::now(),
            value_bytes_max,
            reads_total: AtomicU64::new(0),
            writes_total: AtomicU64::new(0),
        }
    }

    pub(crate) fn published(&self) -> Guard<Arc<Published>> {
        self.published.load()
    }

    pub(crate) fn publish(&self, published: Published) {
        self.published.store(Arc::new(published));
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
