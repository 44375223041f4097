//! Streams of 1,000 and of 1,000,000 entries: what a command costs must not depend on the length.
//!
//! `cargo bench -p coterie-redis-compat --bench stream`, over a map in memory: the cost of the
//! commands themselves, without that of a store.

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use coterie_redis_compat::{Context, MemView, Resolved, Resp, Txn, execute};
use coterie_types::{GroupId, TableId, UnixMillis};
use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};

const LENGTHS: [u64; 2] = [1_000, 1_000_000];

/// A store with a stream `s` of so many entries.
struct World {
    view: MemView,
    next_change: u64,
    /// The last id.
    last: u64,
}

impl World {
    fn new(length: u64) -> Self {
        let mut world = Self {
            view: MemView::new(),
            next_change: 1,
            last: 0,
        };
        for _ in 0..length {
            world.add("");
        }
        world.run("xgroup create s g 0");
        world
    }

    fn add(&mut self, trim: &str) {
        self.last += 1;
        let line = format!("xadd s {trim}{}-0 field value", self.last);
        self.run(&line);
    }

    fn run(&mut self, line: &str) {
        let words = line
            .split(' ')
            .map(|word| Bytes::copy_from_slice(word.as_bytes()));
        let command = Resolved::new(TableId(0), words.collect());
        let ctx = Context {
            group: GroupId(1),
            now: UnixMillis(1),
            read_now: None,
            seed: 1,
            next_change: self.next_change,
        };
        let mut txn = Txn::new(&self.view, ctx);
        let mut reply = BytesMut::new();
        let done = execute(&mut txn, &command, Resp::V2, &mut reply);
        assert!(done.is_ok() && !reply.starts_with(b"-"), "{line}");
        black_box(&reply);
        let changes = txn.finish().expect("no fault");
        self.next_change = changes.next_change;
        self.view.apply(&changes);
    }
}

fn streams(c: &mut Criterion) {
    for length in LENGTHS {
        let mut group = c.benchmark_group("stream");
        let mut world = World::new(length);
        let id = |name| BenchmarkId::new(name, length);
        group.bench_function(id("XRANGE of ten in the middle"), |b| {
            let line = format!("xrange s {} + count 10", length / 2);
            b.iter(|| world.run(&line));
        });
        group.bench_function(id("XREADGROUP and XACK"), |b| {
            let mut read = 0;
            b.iter(|| {
                if read == world.last {
                    world.run("xgroup setid s g 0");
                    read = 0;
                }
                read += 1;
                world.run("xreadgroup group g c count 1 streams s >");
                world.run(&format!("xack s g {read}-0"));
            });
        });
        group.bench_function(id("XADD MAXLEN ~"), |b| {
            let trim = format!("maxlen ~ {length} ");
            b.iter(|| world.add(&trim));
        });
        group.bench_function(id("XADD"), |b| {
            b.iter_batched(|| (), |()| world.add(""), BatchSize::SmallInput);
        });
        group.finish();
    }
}

criterion_group!(benches, streams);
criterion_main!(benches);
