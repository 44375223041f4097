//! The cost of list commands at 1,000 and at 1,000,000 elements, over a store in memory. Each
//! command is a log entry of its own.
//!
//! `cargo bench -p coterie-redis-compat --bench list`.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use coterie_redis_compat::{Context, MemView, Resolved, Resp, Txn, execute};
use coterie_types::{GroupId, TableId, UnixMillis};
use criterion::{Criterion, criterion_group, criterion_main};

/// Elements that are pushed with a command.
const CHUNK: usize = 10_000;

/// The store of a group.
struct Store {
    view: MemView,
    next_change: u64,
}

impl Store {
    /// A store with a list of `len` elements under `l`.
    fn with_list(len: usize) -> Self {
        let mut store = Self {
            view: MemView::new(),
            next_change: 1,
        };
        let elements: Vec<_> = (0..len)
            .map(|n| Bytes::from(format!("element:{n}")))
            .collect();
        for chunk in elements.chunks(CHUNK) {
            let push = [words("rpush l"), chunk.to_vec()].concat();
            store.run(&Resolved::new(TableId(0), push));
        }
        store
    }

    fn run(&mut self, command: &Resolved) -> BytesMut {
        let ctx = Context {
            group: GroupId(1),
            now: UnixMillis(1),
            read_now: None,
            seed: self.next_change,
            next_change: self.next_change,
        };
        let mut txn = Txn::new(&self.view, ctx);
        let mut reply = BytesMut::new();
        execute(&mut txn, command, Resp::V2, &mut reply).unwrap();
        let changes = txn.finish().expect("no fault");
        self.next_change = changes.next_change;
        self.view.apply(&changes);
        reply
    }
}

fn words(line: &str) -> Vec<Bytes> {
    let words = line.split(' ');
    words
        .map(|word| Bytes::copy_from_slice(word.as_bytes()))
        .collect()
}

fn command(line: &str) -> Resolved {
    Resolved::new(TableId(0), words(line))
}

fn lists(c: &mut Criterion) {
    for len in [1_000, 1_000_000] {
        let mut store = Store::with_list(len);
        let middle = len / 2;
        for (name, line) in [
            ("LINDEX middle", format!("lindex l {middle}")),
            (
                "LRANGE 10 middle",
                format!("lrange l {middle} {}", middle + 9),
            ),
            ("LSET middle", format!("lset l {middle} element:{middle}")),
            ("LLEN", "llen l".to_owned()),
        ] {
            let command = command(&line);
            c.bench_function(&format!("{name}, {len} elements"), |b| {
                b.iter(|| black_box(store.run(&command)));
            });
        }
        // Each pair leaves the list as long as it was.
        let (push, pop) = (command("lpush l element:new"), command("lpop l"));
        c.bench_function(&format!("LPUSH and LPOP, {len} elements"), |b| {
            b.iter(|| {
                black_box(store.run(&push));
                black_box(store.run(&pop));
            });
        });
        let (push, pop) = (command("lpush l element:new"), command("rpop l"));
        c.bench_function(&format!("LPUSH and RPOP, {len} elements"), |b| {
            b.iter(|| {
                black_box(store.run(&push));
                black_box(store.run(&pop));
            });
        });
    }
}

/// A queue that a million elements have passed through is as fast as it was.
fn queue(c: &mut Criterion) {
    let mut store = Store::with_list(1_000);
    let (push, pop) = (command("lpush l element:new"), command("rpop l"));
    let pass = |store: &mut Store| {
        black_box(store.run(&push));
        black_box(store.run(&pop));
    };
    c.bench_function("queue of 1000, at first", |b| b.iter(|| pass(&mut store)));
    (0..1_000_000).for_each(|_| pass(&mut store));
    c.bench_function("queue of 1000, after 1000000 passes", |b| {
        b.iter(|| pass(&mut store));
    });
}

criterion_group!(benches, lists, queue);
criterion_main!(benches);
