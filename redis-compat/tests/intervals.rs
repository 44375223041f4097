//! The changes that an entry sees of its own, and the commands over intervals, against a plain map.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;

use bytes::{Buf, Bytes, BytesMut};
use common::{Store, words};
use coterie_redis_compat::{Context, MemView, Resolved, Resp, Txn, execute};
use coterie_types::{GroupId, KeyRange, TableId, UnixMillis};
use proptest::collection::vec;
use proptest::prelude::*;

const T: TableId = TableId(0);

fn ctx(next_change: u64, now: u64) -> Context {
    let (group, now) = (GroupId(1), UnixMillis(now));
    Context {
        group,
        now,
        read_now: None,
        seed: next_change,
        next_change,
    }
}

#[derive(Debug, Clone)]
enum Change {
    Put(String),
    Remove(String),
    Clear(String, Option<String>),
}

fn change() -> impl Strategy<Value = Change> {
    let key = || "[a-c]{0,2}";
    prop_oneof![
        4 => key().prop_map(Change::Put),
        2 => key().prop_map(Change::Remove),
        1 => (key(), proptest::option::of(key())).prop_map(|(start, end)| Change::Clear(start, end)),
    ]
}

fn bounds((start, end): (String, Option<String>)) -> KeyRange {
    KeyRange {
        table: T,
        start: Bytes::from(start),
        end: end.map(Bytes::from),
    }
}

fn make(txn: &mut Txn<'_>, change: &Change) {
    let made = match change.clone() {
        Change::Put(key) => txn.put_string(Bytes::from(key.clone()), Bytes::from(key), None),
        Change::Remove(key) => txn.remove(Bytes::from(key)),
        Change::Clear(start, end) => txn.clear(bounds((start, end))),
    };
    made.unwrap();
}

/// The strings of an array of bulk strings.
fn strings(mut reply: Bytes) -> Vec<Bytes> {
    let line = |reply: &mut Bytes| {
        let end = reply.iter().position(|byte| *byte == b'\r').unwrap();
        let line = reply.split_to(end);
        reply.advance(2);
        std::str::from_utf8(&line[1..])
            .unwrap()
            .parse::<usize>()
            .unwrap()
    };
    (0..line(&mut reply))
        .map(|_| {
            let len = line(&mut reply);
            let string = reply.split_to(len);
            reply.advance(2);
            string
        })
        .collect()
}

proptest! {
    #[test]
    fn an_entry_sees_what_the_next_one_will(
        before in vec(change(), 0..12),
        within in vec(change(), 0..12),
        range in ("[a-c]{0,2}", proptest::option::of("[a-c]{0,2}")),
    ) {
        let mut view = MemView::new();
        let mut first = Txn::new(&view, ctx(1, 0));
        before.iter().for_each(|change| make(&mut first, change));
        let changes = first.finish().unwrap();
        view.apply(&changes);
        let mut second = Txn::new(&view, ctx(changes.next_change, 0));
        within.iter().for_each(|change| make(&mut second, change));
        let range = bounds(range);
        let mut keys = Vec::new();
        let mut visit = |key: &[u8], header| {
            keys.push((Bytes::copy_from_slice(key), header));
            true
        };
        second.scan_keys(&range, &mut visit).unwrap();
        let mut seen = Vec::new();
        for (key, header) in keys {
            let found = second.record(&key).unwrap();
            prop_assert!(found.as_ref().is_some_and(|found| found.header() == header));
            seen.extend(found.map(|found| (key, found)));
        }
        let changes = second.finish().unwrap();
        let mut after = view.clone();
        after.apply(&changes);
        let mut stored = Vec::new();
        after.scan(&range, &mut |key, record| { stored.push((key, record)); true }).unwrap();
        prop_assert_eq!(seen, stored);
    }

    #[test]
    fn a_walk_meets_every_key_once(keys in vec("[a-d]{1,3}", 0..30), count in 1usize..8) {
        let mut store = Store::default();
        for key in &keys {
            store.run(0, &words(&format!("set {key} v")), Resp::V2);
        }
        let (mut start, mut met) = (Bytes::new(), Vec::new());
        loop {
            let args = [
                Bytes::from("_scan"), start, Bytes::new(), Bytes::from(count.to_string()),
            ];
            let reply = store.run(0, &args, Resp::V2);
            // [next, [key, ...], visited]: the next key, then an array as `strings` reads it.
            let mut rest = reply.slice(b"*3\r\n".len()..);
            let next = if rest.starts_with(b"$-1") {
                rest.advance(b"$-1\r\n".len());
                None
            } else {
                let head = rest.iter().position(|byte| *byte == b'\n').unwrap() + 1;
                let len: usize = std::str::from_utf8(&rest[1..head - 2]).unwrap().parse().unwrap();
                rest.advance(head);
                let next = rest.split_to(len);
                rest.advance(2);
                Some(next)
            };
            let page = strings(rest);
            prop_assert!(page.len() <= count);
            met.extend(page);
            match next {
                Some(next) => start = next,
                None => break,
            }
        }
        let expected: Vec<_> =
            keys.into_iter().collect::<BTreeSet<_>>().into_iter().map(Bytes::from).collect();
        prop_assert_eq!(met, expected);
    }
}

fn random_key(view: &MemView, seed: u64, now: u64) -> Bytes {
    let mut out = BytesMut::new();
    let args = vec![Bytes::from("_random"), Bytes::new(), Bytes::new()];
    let mut txn = Txn::new(view, ctx(seed, now));
    execute(&mut txn, &Resolved::new(T, args), Resp::V2, &mut out).unwrap();
    out.freeze()
}

#[test]
fn any_key_of_many_can_be_chosen() {
    let mut view = MemView::new();
    let mut txn = Txn::new(&view, ctx(1, 0));
    for number in 0..1000 {
        txn.put_string(Bytes::from(format!("user:{number}")), Bytes::new(), None)
            .unwrap();
    }
    let changes = txn.finish().unwrap();
    view.apply(&changes);
    let chosen: BTreeSet<_> = (0..8000).map(|seed| random_key(&view, seed, 0)).collect();
    assert!(chosen.iter().all(|reply| reply.starts_with(b"$")));
    assert!(
        chosen.len() > 900,
        "only {} of 1000 keys in 8000 draws",
        chosen.len()
    );
}

#[test]
fn the_one_live_key_among_many_expired_is_chosen() {
    let mut view = MemView::new();
    let mut txn = Txn::new(&view, ctx(1, 0));
    for number in 0..1000 {
        let expires_at = (number != 777).then_some(UnixMillis(5));
        txn.put_string(
            Bytes::from(format!("user:{number}")),
            Bytes::new(),
            expires_at,
        )
        .unwrap();
    }
    let changes = txn.finish().unwrap();
    view.apply(&changes);
    for seed in 0..50 {
        assert_eq!(random_key(&view, seed, 10), "$8\r\nuser:777\r\n");
    }
}
