//! Parts of a string of 1 MiB: changed and read where it is kept in pieces, and in a single record.
//!
//! `cargo bench -p coterie-redis-compat --bench strings`. A change is executed and applied to a
//! store in memory. "in a record" shows the costs without pieces: a change copies the string and
//! stores it whole.

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use coterie_redis_compat::{Context, MemView, Resolved, Resp, Txn, execute};
use coterie_types::{GroupId, TableId, UnixMillis};
use criterion::{Criterion, criterion_group, criterion_main};

const LEN: usize = 1 << 20;

struct Store {
    view: MemView,
    next_change: u64,
}

impl Store {
    fn new() -> Self {
        Self {
            view: MemView::new(),
            next_change: 1,
        }
    }

    /// Runs a command as a log entry of its own; its reply.
    fn run(&mut self, words: &[Bytes]) -> Bytes {
        let ctx = Context {
            group: GroupId(1),
            now: UnixMillis(1),
            read_now: None,
            seed: 1,
            next_change: self.next_change,
        };
        let mut txn = Txn::new(&self.view, ctx);
        let mut out = BytesMut::new();
        let command = Resolved::new(TableId(0), words.to_vec());
        let _ = execute(&mut txn, &command, Resp::V2, &mut out);
        let changes = txn.finish().expect("no fault");
        self.next_change = changes.next_change;
        self.view.apply(&changes);
        out.freeze()
    }

    fn line(&mut self, line: &str) -> Bytes {
        let words = line.split(' ');
        let words: Vec<_> = words
            .map(|word| Bytes::copy_from_slice(word.as_bytes()))
            .collect();
        self.run(&words)
    }
}

fn set(store: &mut Store, value: Bytes) {
    let words = [Bytes::from_static(b"set"), Bytes::from_static(b"k"), value];
    store.run(&words);
}

fn parts(c: &mut Criterion) {
    let value = Bytes::from(vec![b'x'; LEN]);
    let mut whole = Store::new();
    set(&mut whole, value.clone());
    let mut pieces = Store::new();
    set(&mut pieces, value.clone());
    pieces.line("setbit k 0 1");
    let mut at = 0usize;
    let mut next = move || {
        at = (at + 7_919 * 101) % (8 * LEN);
        at
    };
    c.bench_function("setbit, in pieces", |b| {
        b.iter(|| {
            let at = next();
            black_box(pieces.line(&format!("setbit k {at} {}", at & 1)))
        });
    });
    c.bench_function("setbit, in a record", |b| {
        b.iter(|| {
            let mut copy = value.to_vec();
            copy[next() / 8] ^= 1;
            set(&mut whole, Bytes::from(copy));
        });
    });
    for (name, store) in [("in pieces", &mut pieces), ("in a record", &mut whole)] {
        for (command, line) in [
            ("getbit", "getbit k 4000001"),
            ("getrange of 100", "getrange k 500000 500099"),
            ("strlen", "strlen k"),
            ("get", "get k"),
        ] {
            c.bench_function(&format!("{command}, {name}"), |b| {
                b.iter(|| black_box(store.line(line)));
            });
        }
    }
    c.bench_function("append of 10, in pieces", |b| {
        let mut store = Store::new();
        set(&mut store, value.clone());
        store.line("append k x");
        b.iter(|| black_box(store.line("append k 0123456789")));
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = parts
}
criterion_main!(benches);
