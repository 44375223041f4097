//! The cost of finding a row: by its name alone, and with its subcommand and the number of words.
//!
//! `cargo bench -p coterie-redis-compat`. The names are those of a common mix, some in capitals.

use std::hint::black_box;

use bytes::Bytes;
use coterie_redis_compat::{lookup, resolve};
use coterie_types::TableId;
use criterion::{Criterion, criterion_group, criterion_main};

const NAMES: [&str; 8] = [
    "GET", "set", "INCRBY", "del", "mget", "EXPIRE", "setrange", "nosuch",
];
const LINES: [&str; 8] = [
    "GET k",
    "set k v",
    "INCRBY k 1",
    "del a b c",
    "mget a b c d",
    "EXPIRE k 10",
    "OBJECT encoding k",
    "client getname",
];

fn rows(c: &mut Criterion) {
    let names = NAMES.map(|name| Bytes::from_static(name.as_bytes()));
    c.bench_function("lookup, 8 names", |b| {
        b.iter(|| {
            for name in &names {
                black_box(lookup(black_box(name)));
            }
        });
    });
    let lines = LINES.map(|line| {
        let words = line.split(' ');
        words
            .map(|word| Bytes::from_static(word.as_bytes()))
            .collect::<Vec<_>>()
    });
    c.bench_function("resolve, 8 commands", |b| {
        b.iter(|| {
            for line in &lines {
                let _ = black_box(resolve(black_box(line)));
            }
        });
    });
    c.bench_function("keys, 8 commands", |b| {
        let rows: Vec<_> = lines
            .iter()
            .filter_map(|l| Some((resolve(l).ok()?, l)))
            .collect();
        b.iter(|| {
            for (row, line) in &rows {
                let visit = &mut |_, key: &Bytes| {
                    black_box(key);
                };
                let _ = row.visit_keys(TableId(0), black_box(line), visit);
            }
        });
    });
}

criterion_group!(benches, rows);
criterion_main!(benches);
