//! What applying tells the job that reclaims elements, and what the job counts.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use coterie_group::{Effects, Ownership};
use coterie_redis_compat::Record;
use coterie_storage::{Reader, RocksEngine, StorageError, layout};
use coterie_types::{KeyRange, TableId};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Least time between two looks through all elements, if a key may have lost a header unnoticed.
const PERIOD: Duration = Duration::from_secs(300);
/// The same if there is garbage: after a start, the end of an import, or many keys at once.
const ALL_PERIOD: Duration = Duration::from_secs(10);
/// Keys that lost a header, at most; with more, all elements are looked through.
const KEYS_MAX: usize = 1024;

/// See the module's head.
pub(crate) struct Garbage {
    /// The store may have elements. Without any, applying looks for nothing.
    has_elements: AtomicBool,
    /// A key may have lost a header unnoticed.
    is_unsure: AtomicBool,
    wanted: Mutex<Wanted>,
    changed: Notify,
    arriving: Mutex<Arriving>,
    /// `arriving` has any range.
    is_arriving: AtomicBool,
    /// Elements removed.
    pub(crate) elements_total: AtomicU64,
    /// Their bytes.
    pub(crate) bytes_total: AtomicU64,
    /// Milliseconds that looking and removing took.
    pub(crate) millis_total: AtomicU64,
}

#[derive(Default)]
struct Wanted {
    keys: BTreeSet<(TableId, Bytes)>,
    /// All elements are to be looked through.
    all: bool,
    /// When that was done last.
    passed_at: Option<Instant>,
}

/// When to look for garbage.
enum Due {
    /// Now, at the keys that lost a header.
    Keys,
    /// Now, at all elements.
    All,
    /// At that time, or when something changes.
    Later(Instant),
    /// When something changes.
    Never,
}

/// The ranges whose elements may arrive before their headers.
#[derive(Clone, Default)]
pub(super) struct Arriving {
    pub(super) bounds: Vec<KeyRange>,
    /// Rises with every change of `bounds`.
    pub(super) generation: u64,
}

impl Garbage {
    /// For a store whose elements `look_at` will tell.
    pub(crate) fn new() -> Self {
        Self {
            has_elements: AtomicBool::new(false),
            is_unsure: AtomicBool::new(false),
            wanted: Mutex::default(),
            changed: Notify::new(),
            arriving: Mutex::default(),
            is_arriving: AtomicBool::new(false),
            elements_total: AtomicU64::new(0),
            bytes_total: AtomicU64::new(0),
            millis_total: AtomicU64::new(0),
        }
    }

    /// Looks at a store that was opened or installed: if it has elements, some may be garbage.
    pub(in crate::replica) fn look_at(
        &self,
        engine: &RocksEngine,
        ownership: &Ownership,
    ) -> Result<(), StorageError> {
        self.set_arriving(ownership);
        let [_, (start, end)] = layout::all_intervals();
        let mut cursor = engine.cursor(&start, &end)?;
        cursor.seek(&start)?;
        if cursor.entry().is_some() {
            self.has_elements.store(true, Ordering::Relaxed);
            self.want_all();
        }
        Ok(())
    }

    /// Looks for headers that an entry removes or replaces. To be called before the entry is
    /// written.
    pub(in crate::replica) fn note(&self, effects: &Effects, engine: &RocksEngine) {
        let changes = &effects.changes;
        if !changes.elements.is_empty() {
            self.has_elements.store(true, Ordering::Relaxed);
        }
        if !self.has_elements.load(Ordering::Relaxed) {
            return;
        }
        for ((table, key), record) in &changes.records {
            let incarnation = |record: &Record| record.incarnation().ok().flatten();
            let after = record.as_ref().and_then(incarnation);
            match engine.get_in_memory(&layout::header_key(*table, key)) {
                None => self.is_unsure.store(true, Ordering::Relaxed),
                Some(before) => {
                    let before = before.and_then(|raw| Record::incarnation_of(&raw).ok().flatten());
                    if before.is_some() && before != after {
                        self.want(*table, key);
                    }
                }
            }
        }
        self.note_lost(effects);
    }

    /// Looks for elements whose collection the same entry removed.
    fn note_lost(&self, effects: &Effects) {
        let changes = &effects.changes;
        let mut last = None;
        for place in changes.elements.keys() {
            let of = &place.of;
            if last == Some(of) {
                continue;
            }
            last = Some(of);
            let record = changes.records.get(&(of.table, of.key.clone()));
            let Some(record) = record else { continue };
            let after = record.as_ref().and_then(|r| r.incarnation().ok().flatten());
            if after != Some(of.incarnation) {
                self.want(of.table, &of.key);
            }
        }
    }

    /// Has the elements of a key looked at.
    fn want(&self, table: TableId, key: &Bytes) {
        let mut wanted = self.wanted.lock();
        if wanted.keys.len() < KEYS_MAX {
            wanted.keys.insert((table, key.clone()));
        } else {
            wanted.all = true;
        }
        drop(wanted);
        self.changed.notify_one();
    }

    /// Has all elements looked through.
    pub(in crate::replica) fn want_all(&self) {
        self.wanted.lock().all = true;
        self.changed.notify_one();
    }

    /// Waits for something to do; returns whether all elements are to be looked through.
    pub(super) async fn wanted(&self) -> bool {
        loop {
            match self.due(Instant::now()) {
                Due::Keys => return false,
                Due::All => return true,
                Due::Later(at) => {
                    let _ = tokio::time::timeout_at(at, self.changed.notified()).await;
                }
                Due::Never => self.changed.notified().await,
            }
        }
    }

    fn due(&self, now: Instant) -> Due {
        let wanted = self.wanted.lock();
        let after = |period: Duration| wanted.passed_at.map_or(now, |at| at + period);
        let is_unsure = self.is_unsure.load(Ordering::Relaxed);
        let all_at = if wanted.all {
            Some(after(ALL_PERIOD))
        } else if is_unsure {
            Some(after(PERIOD))
        } else {
            None
        };
        match all_at {
            Some(at) if at <= now => Due::All,
            _ if !wanted.keys.is_empty() => Due::Keys,
            Some(at) => Due::Later(at),
            // By then something may be unsure, which wakes nobody.
            None if self.has_elements.load(Ordering::Relaxed) => Due::Later(now + PERIOD),
            None => Due::Never,
        }
    }

    /// Whether there is something to do now.
    #[cfg(test)]
    pub(super) fn is_due(&self) -> bool {
        matches!(self.due(Instant::now()), Due::Keys | Due::All)
    }

    /// Takes the keys that lost a header.
    pub(super) fn take_keys(&self) -> BTreeSet<(TableId, Bytes)> {
        std::mem::take(&mut self.wanted.lock().keys)
    }

    /// Notes that all elements are looked through from now on.
    pub(super) fn begin_pass(&self) {
        let mut wanted = self.wanted.lock();
        self.is_unsure.store(false, Ordering::Relaxed);
        wanted.all = false;
        wanted.keys.clear();
        wanted.passed_at = Some(Instant::now());
    }

    /// Notes the ranges that are arriving, or about to. To be called before the entry that changes
    /// them is written.
    pub(in crate::replica) fn set_arriving(&self, ownership: &Ownership) {
        let incoming = ownership.incoming().iter().chain(ownership.importing());
        let bounds: Vec<KeyRange> = incoming.map(|a| a.range.bounds.clone()).collect();
        let mut arriving = self.arriving.lock();
        if arriving.bounds != bounds {
            self.is_arriving
                .store(!bounds.is_empty(), Ordering::Relaxed);
            arriving.bounds = bounds;
            arriving.generation += 1;
        }
    }

    /// Whether ranges are arriving, or about to. Only applying changes that.
    pub(in crate::replica) fn is_arriving(&self) -> bool {
        self.is_arriving.load(Ordering::Relaxed)
    }

    /// The ranges that are arriving.
    pub(super) fn arriving(&self) -> Arriving {
        self.arriving.lock().clone()
    }

    /// Runs `remove` unless a range began to arrive, or has arrived, since this generation. None
    /// begins meanwhile.
    pub(super) fn unless_arriving<T>(
        &self,
        generation: u64,
        remove: impl FnOnce() -> T,
    ) -> Option<T> {
        let arriving = self.arriving.lock();
        (arriving.generation == generation).then(remove)
    }

    /// Counts removals.
    pub(super) fn count(&self, elements: u64, bytes: u64) {
        self.elements_total.fetch_add(elements, Ordering::Relaxed);
        self.bytes_total.fetch_add(bytes, Ordering::Relaxed);
    }
}
