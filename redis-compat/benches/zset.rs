//! The cost of commands on a sorted set of 1,000 and of 1,000,000 members, over a store in memory.
//!
//! `cargo bench -p coterie-redis-compat --bench zset`. Each call is an entry of its own; the
//! changes
//! of writes are not applied, so that the set stays as it is.

#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

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

fn words(line: &str) -> Vec<Bytes> {
    let words = line.split(' ');
    words
        .map(|word| Bytes::copy_from_slice(word.as_bytes()))
        .collect()
}

fn run(txn: &mut Txn<'_>, args: Vec<Bytes>) -> Bytes {
    let mut reply = BytesMut::new();
    let command = Resolved::new(TableId(0), args);
    execute(txn, &command, Resp::V2, &mut reply).unwrap();
    reply.freeze()
}

/// A set of so many members, each with a score of its own.
fn filled(members: u64) -> (MemView, u64) {
    let (mut view, mut next_change) = (MemView::new(), 1);
    for start in (0..members).step_by(1_000) {
        let mut txn = Txn::new(&view, context(next_change));
        let mut args = words("zadd z");
        for number in start..(start + 1_000).min(members) {
            args.push(Bytes::from(number.to_string()));
            args.push(Bytes::from(format!("member:{}", number.reverse_bits())));
        }
        run(&mut txn, args);
        let changes = txn.finish().unwrap();
        view.apply(&changes);
        next_change = changes.next_change;
    }
    (view, next_change)
}

fn commands(c: &mut Criterion) {
    for members in [1_000, 1_000_000] {
        let (view, next_change) = filled(members);
        let middle = members / 2;
        let member = format!("member:{}", middle.reverse_bits());
        for (name, line) in [
            ("ZADD a new member", format!("zadd z {middle}.5 new")),
            ("ZADD another score", format!("zadd z {middle}.5 {member}")),
            ("ZSCORE", format!("zscore z {member}")),
            ("ZRANK", format!("zrank z {member}")),
            (
                "ZRANGE of ten in the middle",
                format!("zrange z {middle} {}", middle + 9),
            ),
            ("ZCOUNT", format!("zcount z 10 {middle}")),
            ("ZPOPMIN", "zpopmin z".to_owned()),
        ] {
            let args = words(&line);
            c.bench_function(&format!("{name}, {members} members"), |b| {
                b.iter(|| {
                    let mut txn = Txn::new(&view, context(next_change));
                    let reply = run(&mut txn, black_box(args.clone()));
                    assert_ne!(reply[0], b'-');
                    black_box(txn.finish().unwrap());
                });
            });
        }
    }
}

criterion_group!(benches, commands);
criterion_main!(benches);
