//! A cache of values read from RocksDB, shared by all stores of a node.
//!
//! A read that finds its key here does not ask RocksDB, whose search of memtables, index, filter
//! and block is more than half of a server's work for a GET (`docs/benchmarks.md`).
//!
//! A stale value is never returned. A value is cached with the stamp of its key
//! ([`crate::stamps`]) from before it was read, and with the moment among the clearings of its
//! store ([`crate::clears`]). It is valid only while the stamp is unchanged and no later clearing
//! had its key. Before RocksDB is written, the stamps of the written keys are raised, which
//! invalidates their cached values. A reader that races with the write may still insert an old
//! value; its stamp no longer matches, so no lookup returns it. After the write, the writer
//! refreshes the entries of keys that have been read; other keys are reloaded on their next read.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{Equivalent, Weighter};

use crate::StorageError;
use crate::clears::{Clearing, Clears};
use crate::stamps::{Counter, Stamp, Stamps, Writing};
use crate::write_buffer::Spilled;

/// Number of counters that the keys share; half a megabyte.
const COUNTERS: usize = 1 << 16;
/// Bytes of an entry besides its key and value: both allocations, the table's slots.
const ENTRY_BYTES: usize = 144;
/// Approximate mean size of an entry; the library needs only a guess at the number of entries.
const MEAN_BYTES: usize = 512;

/// See the module's head.
pub struct RecordCache {
    values: Cache<Key, Kept, Weight, RandomState>,
    hasher: RandomState,
    stamps: Stamps,
    stores: AtomicU64,
    hits: AtomicU64,
    misses: AtomicU64,
}

impl std::fmt::Debug for RecordCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordCache")
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}

impl RecordCache {
    /// A cache of about this many bytes, overhead included.
    #[must_use]
    pub fn new(bytes: u64) -> Arc<Self> {
        let hasher = RandomState::new();
        let items = usize::try_from(bytes).unwrap_or(usize::MAX) / MEAN_BYTES;
        let lifecycle = DefaultLifecycle::default();
        Arc::new(Self {
            values: Cache::with(items, bytes, Weight, hasher.clone(), lifecycle),
            hasher,
            stamps: Stamps::new(COUNTERS),
            stores: AtomicU64::new(0),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        })
    }

    /// Reads served from the cache.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// Reads that had to ask RocksDB.
    #[must_use]
    pub fn misses(&self) -> u64 {
        self.misses.load(Ordering::Relaxed)
    }

    /// Approximate bytes of the cached keys and values, overhead included.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.values.weight()
    }

    /// The part of a store.
    pub(crate) fn store(self: &Arc<Self>) -> StoreCache {
        StoreCache {
            shared: Arc::clone(self),
            store: self.stores.fetch_add(1, Ordering::Relaxed),
            clears: Clears::default(),
        }
    }
}

/// The cache as seen by a single store.
pub(crate) struct StoreCache {
    shared: Arc<RecordCache>,
    /// Never reused, so that a reopened store finds none of its earlier values.
    store: u64,
    clears: Clears,
}

impl StoreCache {
    /// The cached value of `key`, otherwise the result of `read`.
    pub(crate) fn get_or_read(
        &self,
        key: &[u8],
        read: impl FnOnce() -> Result<Option<Bytes>, StorageError>,
    ) -> Result<Option<Bytes>, StorageError> {
        if let Some(value) = self.get(key) {
            return Ok(value);
        }
        self.shared.misses.fetch_add(1, Ordering::Relaxed);
        let (wanted, counter) = self.find(key);
        let (stamp, moment) = (counter.stamp(), self.clears.moment());
        let value = read()?;
        if let Some(stamp) = stamp {
            let kept = Kept {
                stamp,
                moment,
                value: value.clone(),
            };
            self.shared.values.insert(wanted.to_key(), kept);
        }
        Ok(value)
    }

    /// The cached value of `key`.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Option<Bytes>> {
        let (wanted, counter) = self.find(key);
        let kept = self.shared.values.get(&wanted)?;
        if !counter.is_still(kept.stamp) {
            return None;
        }
        let moment = self.clears.spared(key, kept.moment)?;
        if moment != kept.moment {
            // So the next read has no clearings to check.
            let value = kept.value.clone();
            let kept = Kept {
                moment,
                value,
                ..kept
            };
            self.shared.values.insert(wanted.to_key(), kept);
        }
        self.shared.hits.fetch_add(1, Ordering::Relaxed);
        Some(kept.value)
    }

    /// Caches the new values of keys that have been read, either in the buffer or from this cache.
    /// No write of these keys may begin before this returns.
    pub(crate) fn renew(&self, writes: &[Spilled<'_>]) {
        for write in writes {
            let (wanted, counter) = self.find(write.key);
            let is_read = write.is_read || self.shared.values.contains_key(&wanted);
            if is_read && let Some(stamp) = counter.stamp() {
                let (moment, value) = (self.clears.moment(), write.value.cloned());
                let kept = Kept {
                    stamp,
                    moment,
                    value,
                };
                self.shared.values.insert(wanted.to_key(), kept);
            }
        }
    }

    fn find<'a>(&'a self, key: &'a [u8]) -> (Wanted<'a>, &'a Counter) {
        let wanted = Wanted {
            store: self.store,
            key,
        };
        let counter = self.shared.stamps.of(self.shared.hasher.hash_one(&wanted));
        (wanted, counter)
    }

    #[cfg(test)]
    pub(crate) fn hits(&self) -> u64 {
        self.shared.hits()
    }

    /// To be called before these keys are written and these intervals cleared; the guard is dropped
    /// afterwards.
    pub(crate) fn write<'a>(
        &self,
        keys: impl Iterator<Item = &'a [u8]>,
        clears: &[(Vec<u8>, Vec<u8>)],
    ) -> (Writing<'_>, Option<Clearing<'_>>) {
        let hashes = keys.map(|key| {
            let store = self.store;
            self.shared.hasher.hash_one(Wanted { store, key })
        });
        let clearing = (!clears.is_empty()).then(|| self.clears.begin(clears));
        (self.shared.stamps.write(hashes), clearing)
    }
}

#[derive(Clone)]
struct Kept {
    stamp: Stamp,
    /// Of the store's clearings.
    moment: u64,
    value: Option<Bytes>,
}

#[derive(PartialEq, Eq)]
struct Key {
    store: u64,
    key: Box<[u8]>,
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (store, key) = (self.store, self.key.as_ref());
        Wanted { store, key }.hash(state);
    }
}

/// A key for lookups, borrowed to avoid a copy.
#[derive(Hash)]
struct Wanted<'a> {
    store: u64,
    key: &'a [u8],
}

impl Wanted<'_> {
    fn to_key(&self) -> Key {
        Key {
            store: self.store,
            key: self.key.into(),
        }
    }
}

impl Equivalent<Key> for Wanted<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.store == key.store && *self.key == *key.key
    }
}

#[derive(Clone)]
struct Weight;

impl Weighter<Key, Kept> for Weight {
    fn weight(&self, key: &Key, kept: &Kept) -> u64 {
        let value = kept.value.as_ref().map_or(0, Bytes::len);
        (ENTRY_BYTES + key.key.len() + value) as u64
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::AtomicBool;

    use super::*;

    fn read(cache: &StoreCache, key: &[u8], value: Option<&'static str>) -> Option<Bytes> {
        let found = cache.get_or_read(key, || Ok(value.map(Bytes::from)));
        found.ok().flatten()
    }

    fn write<'a>(cache: &'a StoreCache, key: &[u8]) -> Writing<'a> {
        cache.write(std::iter::once(key), &[]).0
    }

    #[test]
    fn what_was_read_is_not_read_again_until_it_is_written() {
        let shared = RecordCache::new(1 << 20);
        let cache = shared.store();
        assert_eq!(read(&cache, b"k", Some("1")).as_deref(), Some(&b"1"[..]));
        assert_eq!(read(&cache, b"k", Some("2")).as_deref(), Some(&b"1"[..]));
        assert_eq!(read(&cache, b"none", None), None);
        assert_eq!(read(&cache, b"none", Some("2")), None);
        drop(write(&cache, b"k"));
        assert_eq!(read(&cache, b"k", Some("3")).as_deref(), Some(&b"3"[..]));
        assert_eq!(read(&cache, b"none", Some("3")), None);
        assert_eq!((shared.hits(), shared.misses()), (3, 3));
    }

    #[test]
    fn what_is_read_while_it_is_written_is_not_kept() {
        let cache = RecordCache::new(1 << 20).store();
        let writing = write(&cache, b"k");
        assert_eq!(
            read(&cache, b"k", Some("old")).as_deref(),
            Some(&b"old"[..])
        );
        assert_eq!(
            read(&cache, b"k", Some("new")).as_deref(),
            Some(&b"new"[..])
        );
        drop(writing);
        assert_eq!(
            read(&cache, b"k", Some("end")).as_deref(),
            Some(&b"end"[..])
        );
    }

    #[test]
    fn values_of_keys_that_were_read_are_renewed_and_no_others() {
        let shared = RecordCache::new(1 << 20);
        let cache = shared.store();
        read(&cache, b"before", Some("1"));
        let new = Bytes::from_static(b"2");
        let write = |key, is_read| Spilled {
            key,
            value: Some(&new),
            is_read,
        };
        let writes = [
            write(&b"before"[..], false),
            write(b"buffered", true),
            write(b"other", false),
        ];
        drop(cache.write(writes.iter().map(|write| write.key), &[]));
        cache.renew(&writes);
        assert_eq!(cache.get(b"before"), Some(Some(new.clone())));
        assert_eq!(cache.get(b"buffered"), Some(Some(new.clone())));
        assert_eq!(cache.get(b"other"), None);
    }

    #[test]
    fn a_reader_that_a_write_overtakes_leaves_nothing_behind() {
        let cache = RecordCache::new(1 << 20).store();
        let overtaken = cache.get_or_read(b"k", || {
            drop(write(&cache, b"k"));
            Ok(Some(Bytes::from_static(b"old")))
        });
        assert_eq!(overtaken.ok().flatten().as_deref(), Some(&b"old"[..]));
        assert_eq!(
            read(&cache, b"k", Some("new")).as_deref(),
            Some(&b"new"[..])
        );
    }

    #[test]
    fn a_clearing_is_a_write_of_the_keys_of_its_interval_and_store_alone() {
        let shared = RecordCache::new(1 << 20);
        let (cleared, other) = (shared.store(), shared.store());
        for (cache, key) in [(&cleared, b"k"), (&cleared, b"a"), (&other, b"k")] {
            assert!(read(cache, key, Some("1")).is_some());
        }
        let interval = (b"k".to_vec(), b"l".to_vec());
        let clearing = cleared.write(std::iter::empty(), &[interval]);
        // The store may still have it; a value that is cached now is not valid later.
        assert!(read(&cleared, b"k", Some("old")).is_some());
        drop(clearing);
        assert_eq!(read(&cleared, b"k", None), None);
        for (cache, key) in [(&cleared, b"a"), (&other, b"k")] {
            assert_eq!(read(cache, key, None).as_deref(), Some(&b"1"[..]));
            // The same again, now that the entry was found valid.
            assert_eq!(read(cache, key, None).as_deref(), Some(&b"1"[..]));
        }
    }

    #[test]
    fn it_stays_within_its_bytes() {
        let shared = RecordCache::new(64 << 10);
        let cache = shared.store();
        for n in 0..10_000u32 {
            assert_eq!(
                read(&cache, &n.to_be_bytes(), Some("value")).map(|v| v.len()),
                Some(5)
            );
        }
        assert!(shared.bytes() <= 64 << 10, "{}", shared.bytes());
        assert!(shared.bytes() > 32 << 10, "{}", shared.bytes());
    }

    /// No reader sees a value older than a value that any reader, or the writer, has seen before.
    #[test]
    fn values_never_go_back() {
        const WRITES: u64 = 20_000;
        let cache = RecordCache::new(1 << 20).store();
        // The store: the newest value, and the newest value seen by any reader.
        let (stored, seen, over) = (Mutex::new(0u64), AtomicU64::new(0), AtomicBool::new(false));
        let from_store = || {
            let value = *stored.lock().unwrap_or_else(|e| e.into_inner());
            Ok(Some(Bytes::copy_from_slice(&value.to_be_bytes())))
        };
        let look = || {
            let at_least = seen.load(Ordering::SeqCst);
            let found = cache.get_or_read(b"k", from_store).ok().flatten();
            let bytes = found.as_deref().and_then(|v| <[u8; 8]>::try_from(v).ok());
            let value = u64::from_be_bytes(bytes.unwrap_or_default());
            assert!(value >= at_least, "{value} after {at_least}");
            seen.fetch_max(value, Ordering::SeqCst);
        };
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !over.load(Ordering::SeqCst) {
                        look();
                    }
                });
            }
            for value in 1..=WRITES {
                let writing = write(&cache, b"k");
                *stored.lock().unwrap_or_else(|e| e.into_inner()) = value;
                drop(writing);
                seen.fetch_max(value, Ordering::SeqCst);
                if value % 16 == 0 {
                    look();
                }
            }
            over.store(true, Ordering::SeqCst);
        });
    }
}
