//! Sets and hashes of 1,000 and of 1,000,000 elements: single elements should cost about the same.
//!
//! `cargo bench -p coterie-redis-compat --bench members`. The store is a map in memory.

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use coterie_redis_compat::{Context, MemView, Resolved, Resp, Txn, execute};
use coterie_types::{GroupId, TableId, UnixMillis};
use criterion::{Criterion, criterion_group, criterion_main};

fn context(next_change: u64) -> Context {
    Context {
        group: GroupId(1),
        now: UnixMillis(1),
        read_now: None,
        seed: next_change,
        next_change,
    }
}

fn run(txn: &mut Txn<'_>, words: Vec<Bytes>) {
    let mut reply = BytesMut::new();
    let command = Resolved::new(TableId(0), words);
    if execute(txn, &command, Resp::V2, &mut reply).is_ok() {
        assert!(!reply.starts_with(b"-"), "{reply:?}");
    }
    black_box(reply);
}

fn words(line: &str) -> Vec<Bytes> {
    line.split(' ')
        .map(|word| Bytes::copy_from_slice(word.as_bytes()))
        .collect()
}

/// A set and a hash of `count` elements.
fn filled(count: usize) -> MemView {
    let mut view = MemView::new();
    let mut next_change = 1;
    let numbers: Vec<_> = (0..count).collect();
    for part in numbers.chunks(1000) {
        let mut txn = Txn::new(&view, context(next_change));
        let members = part.iter().map(|number| Bytes::from(format!("m{number}")));
        run(
            &mut txn,
            [words("sadd s"), members.clone().collect()].concat(),
        );
        let pairs = members.flat_map(|member| [member, Bytes::from_static(b"value")]);
        run(&mut txn, [words("hset h"), pairs.collect()].concat());
        let changes = txn.finish().expect("no fault");
        next_change = changes.next_change;
        view.apply(&changes);
    }
    view
}

fn elements(c: &mut Criterion) {
    for count in [1_000, 1_000_000] {
        let view = filled(count);
        let middle = count / 2;
        for line in [
            format!("sismember s m{middle}"),
            format!("sadd s m{middle} new"),
            format!("srem s m{middle}"),
            "srandmember s".to_owned(),
            "srandmember s 10".to_owned(),
            "spop s".to_owned(),
            "sscan s 140737488355328 count 10".to_owned(),
            format!("hget h m{middle}"),
            format!("hset h m{middle} other"),
            "hlen h".to_owned(),
            "del s".to_owned(),
        ] {
            let words = words(&line);
            let mut seed = 1;
            c.bench_function(&format!("{count}: {line}"), |b| {
                b.iter(|| {
                    seed += 1;
                    let mut txn = Txn::new(&view, context(10_000_000 + seed));
                    run(&mut txn, words.clone());
                    black_box(txn.finish().expect("no fault"));
                });
            });
        }
    }
}

criterion_group!(benches, elements);
criterion_main!(benches);
