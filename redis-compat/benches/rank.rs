//! The cost of ranks in a large sorted set: insertion, rank, selection by rank, and what they read.
//!
//! `cargo bench -p coterie-redis-compat --bench rank`. The store is a map in memory. Before the
//! times it prints how many walks and elements each command reads.

#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

use std::cell::Cell;
use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use coterie_redis_compat::{
    Changes, Collection, Context, Fault, Header, MemView, Record, Resolved, Resp, Txn, View, Walk,
    execute,
};
use coterie_types::{GroupId, KeyRange, TableId, UnixMillis};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

/// A store that counts the reads of elements.
#[derive(Default)]
struct Reads {
    view: MemView,
    walks: Cell<u64>,
    elements: Cell<u64>,
}

impl View for Reads {
    fn record(&self, table: TableId, key: &[u8]) -> Result<Option<Record>, Fault> {
        self.view.record(table, key)
    }

    fn scan_keys(
        &self,
        bounds: &KeyRange,
        visit: &mut dyn FnMut(&[u8], Header) -> bool,
    ) -> Result<(), Fault> {
        self.view.scan_keys(bounds, visit)
    }

    fn element(&self, of: &Collection, family: u8, at: &[u8]) -> Result<Option<Bytes>, Fault> {
        self.walks.set(self.walks.get() + 1);
        self.view.element(of, family, at)
    }

    fn scan_elements(
        &self,
        of: &Collection,
        family: u8,
        walk: Walk<'_>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), Fault> {
        self.walks.set(self.walks.get() + 1);
        self.view.scan_elements(of, family, walk, &mut |at, value| {
            self.elements.set(self.elements.get() + 1);
            visit(at, value)
        })
    }
}

fn run(view: &dyn View, next_change: u64, lines: &[String]) -> Changes {
    let ctx = Context {
        group: GroupId(1),
        now: UnixMillis(1),
        read_now: None,
        seed: next_change,
        next_change,
    };
    let (mut txn, mut out) = (Txn::new(view, ctx), BytesMut::new());
    for line in lines {
        let words = line
            .split(' ')
            .map(|word| Bytes::copy_from_slice(word.as_bytes()));
        let command = Resolved::new(TableId(0), words.collect::<Vec<_>>());
        execute(&mut txn, &command, Resp::V2, &mut out).unwrap();
        black_box(&out);
        assert!(!out.starts_with(b"-"), "{line}: {out:?}");
        out.clear();
    }
    txn.finish().unwrap()
}

/// A sorted set of so many members, whose scores are in no order.
fn filled(count: u64) -> (Reads, u64) {
    let (mut store, mut next_change) = (Reads::default(), 1);
    for batch in 0..count / 1000 {
        let mut line = String::from("zadd z");
        for number in batch * 1000..(batch + 1) * 1000 {
            line += &format!(" {} m{number}", scattered(number));
        }
        let changes = run(&store, next_change, &[line]);
        next_change = changes.next_change;
        store.view.apply(&changes);
    }
    (store, next_change)
}

fn scattered(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20
}

fn ranks(c: &mut Criterion) {
    for count in [1_000, 100_000, 1_000_000] {
        let (store, next_change) = filled(count);
        let lines = |form: &dyn Fn(u64) -> String| -> Vec<String> {
            (0..100).map(|n| form(scattered(n) % count)).collect()
        };
        let commands = [
            (
                "ZADD",
                lines(&|n| format!("zadd z {}.5 new{n}", scattered(n + 7))),
            ),
            ("ZRANK", lines(&|n| format!("zrank z m{n}"))),
            ("ZRANGE of one", lines(&|n| format!("zrange z {n} {n}"))),
            ("ZSCORE", lines(&|n| format!("zscore z m{n}"))),
        ];
        for (name, lines) in &commands {
            store.walks.set(0);
            store.elements.set(0);
            run(&store, next_change, lines);
            let each = |cell: &Cell<u64>| cell.get() as f64 / 100.0;
            let (walks, elements) = (each(&store.walks), each(&store.elements));
            println!("{name} at {count}: {walks} walks and {elements} elements are read");
            c.bench_function(&format!("{name} at {count}, 100 calls"), |b| {
                b.iter_batched(
                    || (),
                    |()| run(&store, next_change, lines),
                    BatchSize::SmallInput,
                );
            });
        }
    }
}

criterion_group!(benches, ranks);
criterion_main!(benches);
