//! Times of writes, reads and scans of a store, alone and in turn.
//!
//! The store holds 100,000 records of 128 bytes. Buffered writes reach RocksDB as in a replica: a
//! flush begins whenever 32 MiB have gathered.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]
#![allow(missing_docs, reason = "criterion's macros")]
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use coterie_storage::{Batch, Engine, Reader, RecordCache, RocksEngine, RocksShared, layout};
use coterie_types::{GroupId, TableId, Version};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const RECORDS: u64 = 100_000;
const UNFLUSHED_BYTES_MAX: usize = 32 << 20;

fn key(n: u64) -> Vec<u8> {
    layout::header_key(TableId(0), format!("key:{n:012}").as_bytes())
}

/// Scatters consecutive numbers over the records.
fn scattered(n: u64) -> u64 {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % RECORDS
}

struct Store {
    engine: RocksEngine,
    written: AtomicU64,
    _dir: tempfile::TempDir,
}

impl Store {
    fn filled() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let shared = RocksShared::new(64 << 20, 0).unwrap();
        let shared = shared.with_records(RecordCache::new(64 << 20));
        let engine = RocksEngine::open(dir.path(), &shared).unwrap();
        for first in (0..RECORDS).step_by(1000) {
            let mut batch = Batch::default();
            (first..first + 1000).for_each(|n| batch.put(key(n), vec![b'v'; 128]));
            engine.write(batch).unwrap();
        }
        engine.flush().unwrap();
        Self {
            engine,
            written: AtomicU64::new(0),
            _dir: dir,
        }
    }

    fn put(&self, count: u64) {
        let mut batch = Batch::default();
        let first = self.written.fetch_add(count, Ordering::Relaxed);
        (first..first + count).for_each(|n| batch.put(key(scattered(n)), vec![b'w'; 128]));
        self.engine.write(batch).unwrap();
        if self.engine.unflushed_bytes() >= UNFLUSHED_BYTES_MAX {
            self.engine.start_flush().unwrap();
        }
    }

    fn get(&self, n: u64) {
        black_box(self.engine.get(&key(scattered(n))).unwrap());
    }

    /// Visits this many records from a scattered start.
    fn scan(&self, n: u64, count: u64) {
        let [(_, end), _] = layout::all_intervals();
        let mut left = count;
        let mut visit = |key: &[u8], value: &[u8]| {
            black_box((key, value));
            left -= 1;
            left > 0
        };
        self.engine
            .scan(&key(scattered(n)), &end, &mut visit)
            .unwrap();
    }
}

fn alone(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("alone");
    for count in [1, 25] {
        let store = Store::filled();
        group.throughput(Throughput::Elements(count));
        group.bench_function(format!("put {count}"), |bencher| {
            bencher.iter(|| store.put(count));
        });
    }
    group.throughput(Throughput::Elements(1));
    let store = Store::filled();
    let mut n = 0;
    let mut next = || {
        n += 1;
        n
    };
    group.bench_function("get of RocksDB's or the cache's", |bencher| {
        bencher.iter(|| store.get(next()));
    });
    store.put(50_000);
    group.bench_function("get, half of them buffered", |bencher| {
        bencher.iter(|| store.get(next()));
    });
    store.engine.flush().unwrap();
    group.bench_function("scan of 10, nothing buffered", |bencher| {
        bencher.iter(|| store.scan(next(), 10));
    });
    group.finish();
}

fn in_turn(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("in turn");
    for (puts, scanned) in [(1, 10), (100, 10), (1000, RECORDS)] {
        let store = Store::filled();
        let mut n = 0;
        group.bench_function(format!("{puts} puts, a scan of {scanned}"), |bencher| {
            bencher.iter(|| {
                n += 1;
                (0..puts).for_each(|_| store.put(1));
                store.scan(if scanned == RECORDS { 0 } else { n }, scanned);
            });
        });
    }
    group.finish();
}

/// The first scan of a buffer that is nearly full sorts its keys.
fn first(criterion: &mut Criterion) {
    let store = Store::filled();
    let mut group = criterion.benchmark_group("first");
    group.sample_size(10);
    group.bench_function("scan of 10 after 100,000 puts", |bencher| {
        bencher.iter_custom(|times| {
            let mut took = Duration::ZERO;
            for n in 0..times {
                for _ in 0..RECORDS / 1000 {
                    store.put(1000);
                }
                let began = Instant::now();
                store.scan(n, 10);
                took += began.elapsed();
                store.engine.flush().unwrap();
            }
            took
        });
    });
    group.finish();
}

fn beside(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("beside");
    let (store, is_over) = (Store::filled(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0.. {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                store.scan(n, 100);
            }
        });
        group.bench_function("put 25 while another thread scans 100 each", |bencher| {
            bencher.iter(|| store.put(25));
        });
        is_over.store(true, Ordering::Relaxed);
    });
    group.finish();
}

/// An entry may change many elements. Readers and the next entry wait for its batch.
fn many(criterion: &mut Criterion) {
    let store = Store::filled();
    let mut group = criterion.benchmark_group("many");
    group.sample_size(10);
    let (group_id, mut change) = (GroupId(1), 0);
    group.bench_function("write of 100,000 elements", |bencher| {
        bencher.iter_custom(|times| {
            let mut took = Duration::ZERO;
            for _ in 0..times {
                change += 1;
                let incarnation = Version {
                    group: group_id,
                    change,
                };
                let mut batch = Batch::default();
                for n in 0..RECORDS {
                    let (of, element) = ((TableId(0), &b"collection"[..]), scattered(n));
                    let element = format!("{element:016}");
                    let key = layout::element_key(of, incarnation, 0, element.as_bytes());
                    batch.put(key, vec![b'v'; 16]);
                }
                let began = Instant::now();
                store.engine.write(batch).unwrap();
                took += began.elapsed();
                store.engine.flush().unwrap();
            }
            took
        });
    });
    group.finish();
}

criterion_group!(benches, alone, in_turn, first, beside, many);
criterion_main!(benches);
