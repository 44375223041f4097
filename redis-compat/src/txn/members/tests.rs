//! Layouts, scans, random members, and clocks.

mod property;

use std::collections::BTreeMap;

use bytes::Bytes;
use coterie_types::UnixMillis;

use super::spread::{DEADLINES, HASHES, MEMBERS};
use super::walk::Member;
use super::*;
use crate::txn::tests::{b, ctx};
use crate::{MemView, Txn};

fn load(txn: &mut Txn<'_>, key: &Bytes) -> Members {
    match txn.record(key).unwrap() {
        Some(record) => Members::of(&record, txn.table(), key).unwrap(),
        None => Members::new(Kind::Hash),
    }
}

fn cell(value: &Bytes, deadline: Option<UnixMillis>) -> Cell {
    Cell {
        value: value.clone(),
        deadline,
    }
}

fn all(txn: &mut Txn<'_>, members: &Members) -> Vec<Member> {
    let mut all = Vec::new();
    members
        .each(txn, &mut |_, member| {
            all.push(member);
            Ok(true)
        })
        .unwrap();
    all
}

fn name(number: u64) -> Bytes {
    Bytes::from(format!("member:{number}"))
}

/// A spread collection of `count` members in `view`.
fn spread(view: &mut MemView, count: u64, bytes: usize) {
    let mut txn = Txn::new(view, ctx(1));
    let mut members = Members::new(Kind::Hash);
    let value = Bytes::from(vec![b'v'; bytes]);
    for number in 0..count {
        members
            .put(&mut txn, &name(number), &cell(&value, None))
            .unwrap();
    }
    members.store(&mut txn, &b("k")).unwrap();
    assert!(matches!(members.form, Form::Spread(_)));
    let changes = txn.finish().unwrap();
    view.apply(&changes);
}

#[test]
fn the_layouts_on_disk_are_pinned() {
    let view = MemView::new();
    let mut txn = Txn::new(&view, ctx(1));
    let mut members = Members::new(Kind::Hash);
    let at = Some(UnixMillis(300));
    members
        .put(&mut txn, &b("a"), &cell(&b("v"), None))
        .unwrap();
    members.put(&mut txn, &b("b"), &cell(&b(""), at)).unwrap();
    members.store(&mut txn, &b("k")).unwrap();
    let record = txn.record(&b("k")).unwrap().unwrap();
    let head = b"\x01\0\0\0\0\0\0\x01\x2c\x01";
    assert_eq!(
        record.value,
        [&head[..], b"\x02\x01a\x02\0v\x01b\x02\xac\x02"].concat()
    );
    assert_eq!(record.wake_at(), at);
    let long = Bytes::from(vec![b'x'; PACKED_BYTES_MAX]);
    members.put(&mut txn, &b("a"), &cell(&long, None)).unwrap();
    members.store(&mut txn, &b("k")).unwrap();
    let record = txn.record(&b("k")).unwrap().unwrap();
    assert_eq!(record.wake_at(), at);
    let header = SpreadHeader::decode(&record.value).unwrap();
    assert_eq!(header.count, 2);
    assert_eq!(header.rest.len(), head.len() + 16);
    assert!(header.rest.starts_with(head));
    let Form::Spread(spread) = &members.form else {
        panic!("not spread");
    };
    assert_eq!(header.rest[head.len()..], spread.hash_key);
    let key = spread.key_of(b"b");
    assert_eq!(key.len(), 7);
    let found = txn.element(&spread.of, MEMBERS, &key).unwrap();
    assert_eq!(found.as_deref(), Some(&b"\xac\x02"[..]));
    let place = [b"\0\0\0\0\0\0\x01\x2c", &key[..]].concat();
    let found = txn.element(&spread.of, DEADLINES, &place).unwrap();
    assert_eq!(found.as_deref(), Some(&b""[..]));
    let (of, count) = (spread.of.clone(), 0);
    let hash_key = std::array::from_fn(|at| at as u8);
    let spread = Spread {
        of,
        count,
        hash_key,
    };
    assert_eq!(spread.key_of(b"a"), &b"\x1c\x26\x97\xab\x78\x6aa"[..]);
}

#[test]
fn members_are_spread_when_they_outgrow_a_record() {
    let view = MemView::new();
    let mut txn = Txn::new(&view, ctx(1));
    let mut members = Members::new(Kind::Set);
    let nothing = cell(&Bytes::new(), None);
    let mut packed = 0;
    for number in 0u64.. {
        let member = Bytes::from(format!("{number:098}"));
        members.put(&mut txn, &member, &nothing).unwrap();
        members.store(&mut txn, &b("k")).unwrap();
        let record = txn.record(&b("k")).unwrap().unwrap();
        if record.is_spread {
            break;
        }
        packed = record.value.len();
    }
    assert!(packed <= PACKED_BYTES_MAX && packed + 100 > PACKED_BYTES_MAX);
    let before = all(&mut txn, &members).len();
    // It is not packed again.
    for number in 0..before as u64 - 1 {
        let member = Bytes::from(format!("{number:098}"));
        assert!(members.remove(&mut txn, &member).unwrap().is_some());
    }
    members.store(&mut txn, &b("k")).unwrap();
    assert!(txn.record(&b("k")).unwrap().unwrap().is_spread);
    assert_eq!(all(&mut txn, &members).len(), 1);
}

#[test]
fn a_scan_lists_each_member_that_stays_once() {
    let mut view = MemView::new();
    spread(&mut view, 1000, 20);
    for count in [1, 3, 10, 999, 1000, 5000] {
        let mut txn = Txn::new(&view, ctx(1));
        let mut members = load(&mut txn, &b("k"));
        let mut seen = BTreeMap::new();
        let (mut cursor, mut pages, mut next_new) = (0, 0, 5000);
        loop {
            let (next, page) = members.scan(&mut txn, cursor, count).unwrap();
            assert!(page.len() <= count + 1, "members of the same hash are rare");
            for member in page {
                *seen.entry(member.name).or_insert(0) += 1;
            }
            pages += 1;
            // Others come and go meanwhile.
            for number in [next_new, next_new + 1] {
                members
                    .put(&mut txn, &name(number), &cell(&b("v"), None))
                    .unwrap();
            }
            members.remove(&mut txn, &name(next_new)).unwrap();
            next_new += 2;
            assert!(next == 0 || next > cursor && next < HASHES);
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        for number in 0..1000 {
            assert_eq!(seen.get(&name(number)), Some(&1), "{number} by {count}");
        }
        assert!(seen.values().all(|times| *times == 1));
        assert!(pages >= 1000 / count, "{pages}");
    }
}

#[test]
fn members_of_the_same_hash_are_on_the_same_page() {
    let view = MemView::new();
    let mut txn = Txn::new(&view, ctx(1));
    let of = txn.begin_collection(&b("k"));
    let mut spread = Spread {
        of: of.clone(),
        count: 6,
        hash_key: [0; 16],
    };
    for (hash, member) in [
        (1, "a"),
        (1, "b"),
        (1, "c"),
        (9, "d"),
        (9, "e"),
        (HASHES - 1, "f"),
    ] {
        let key = [&super::spread::first_key(hash)[..], member.as_bytes()].concat();
        txn.put_element(&of, MEMBERS, key, Bytes::new());
    }
    spread.count = 6;
    let mut members = Members::new(Kind::Set);
    members.form = Form::Spread(spread);
    let mut page = |cursor| {
        let (next, page) = members.scan(&mut txn, cursor, 1).unwrap();
        let names: Vec<_> = page.into_iter().map(|member| member.name).collect();
        (next, names.concat())
    };
    assert_eq!(page(0), (9, b"abc".to_vec()));
    assert_eq!(page(9), (HASHES - 1, b"de".to_vec()));
    assert_eq!(page(HASHES - 1), (0, b"f".to_vec()));
    assert_eq!(page(HASHES), (0, Vec::new()));
    assert_eq!(page(u64::MAX), (0, Vec::new()));
}

/// Whether chi-square is as far from its mean as chance makes it, but for a case in a million.
fn is_uniform(counts: &BTreeMap<Bytes, u64>, classes: u64, draws: u64) -> bool {
    let expected = draws as f64 / classes as f64;
    let sum: f64 = counts
        .values()
        .map(|count| (*count as f64 - expected).powi(2) / expected)
        .sum();
    let absent = (classes - counts.len() as u64) as f64 * expected;
    let freedom = (classes - 1) as f64;
    sum + absent < freedom + 5.0 * (2.0 * freedom).sqrt()
}

#[test]
fn random_members_are_as_likely_as_one_another() {
    const MEMBERS: u64 = 3000;
    let mut view = MemView::new();
    spread(&mut view, MEMBERS, 1);
    let mut txn = Txn::new(&view, ctx(1));
    let members = load(&mut txn, &b("k"));
    let mut single = BTreeMap::new();
    for _ in 0..10 * MEMBERS {
        let member = members.random(&mut txn).unwrap().unwrap();
        *single.entry(member.name).or_insert(0) += 1;
    }
    assert!(is_uniform(&single, MEMBERS, 10 * MEMBERS));
    for count in [10, 1000] {
        let (mut sampled, mut drawn) = (BTreeMap::new(), BTreeMap::new());
        let rounds = 10 * MEMBERS / count;
        for _ in 0..rounds {
            let before = sampled.values().sum::<u64>();
            members
                .sample(&mut txn, count, &mut |_, member| {
                    *sampled.entry(member.name).or_insert(0) += 1;
                    Ok(true)
                })
                .unwrap();
            assert_eq!(sampled.values().sum::<u64>(), before + count);
            members
                .draw(&mut txn, count, &mut |_, member| {
                    *drawn.entry(member.name).or_insert(0) += 1;
                    Ok(true)
                })
                .unwrap();
        }
        assert!(is_uniform(&sampled, MEMBERS, rounds * count), "{count}");
        assert!(is_uniform(&drawn, MEMBERS, rounds * count), "{count}");
    }
}

#[test]
fn a_sample_has_each_member_once() {
    let mut view = MemView::new();
    spread(&mut view, 1000, 20);
    let mut txn = Txn::new(&view, ctx(1));
    let members = load(&mut txn, &b("k"));
    for count in [0, 1, 5, 62, 63, 999, 1000, 9999] {
        let mut chosen = BTreeMap::new();
        members
            .sample(&mut txn, count, &mut |_, member| {
                assert!(chosen.insert(member.name, ()).is_none());
                Ok(true)
            })
            .unwrap();
        assert_eq!(chosen.len() as u64, count.min(1000));
    }
}

#[test]
fn random_members_are_found_among_many_past_their_deadlines() {
    let mut view = MemView::new();
    spread(&mut view, 1000, 20);
    let mut txn = Txn::new(&view, ctx(1));
    let mut members = load(&mut txn, &b("k"));
    for number in 0..998 {
        members
            .set_deadline(&mut txn, &name(number), Some(UnixMillis(5)))
            .unwrap();
    }
    members.store(&mut txn, &b("k")).unwrap();
    let changes = txn.finish().unwrap();
    view.apply(&changes);
    let mut txn = Txn::new(&view, ctx(5));
    let members = load(&mut txn, &b("k"));
    assert_eq!(members.len(&mut txn).unwrap(), 2);
    let mut seen = BTreeMap::new();
    for _ in 0..50 {
        let member = members.random(&mut txn).unwrap().unwrap();
        *seen.entry(member.name).or_insert(0) += 1;
    }
    assert!(seen.into_keys().eq([name(998), name(999)]));
}

#[test]
fn deadlines_between_the_two_clocks_ask_for_a_tick() {
    let mut view = MemView::new();
    let mut txn = Txn::new(&view, ctx(1));
    let mut members = Members::new(Kind::Set);
    let until = cell(&Bytes::new(), Some(UnixMillis(10)));
    members.put(&mut txn, &b("until"), &until).unwrap();
    members
        .put(&mut txn, &b("stays"), &cell(&Bytes::new(), None))
        .unwrap();
    members.store(&mut txn, &b("k")).unwrap();
    let changes = txn.finish().unwrap();
    view.apply(&changes);
    type Read = fn(&mut Members, &mut Txn<'_>);
    let reads: [(Read, bool); 5] = [
        (|members, txn| drop(members.get(txn, b"until")), true),
        (|members, txn| drop(members.get(txn, b"stays")), false),
        (|members, txn| drop(members.len(txn)), true),
        (|members, txn| drop(all(txn, members)), true),
        (|members, txn| drop(members.scan(txn, 0, 10)), true),
    ];
    for (read, meets_it) in reads {
        for (read_now, needs_tick) in [(9, false), (10, meets_it)] {
            let context = crate::Context {
                read_now: Some(UnixMillis(read_now)),
                ..ctx(5)
            };
            let mut txn = Txn::new(&view, context);
            let mut members = load(&mut txn, &b("k"));
            read(&mut members, &mut txn);
            assert_eq!(txn.needs_tick(), needs_tick);
        }
    }
}

#[test]
fn bytes_that_do_not_fit_are_a_fault() {
    let view = MemView::new();
    let mut txn = Txn::new(&view, ctx(1));
    let of = txn.begin_collection(&b("k"));
    let key = b("k");
    let header = |rest: &'static str| SpreadHeader {
        incarnation: of.incarnation,
        count: 1,
        rest: b(rest),
    };
    for rest in [
        "",
        "\0",
        "\0short",
        "\0seventeen bytes  .",
        "\x04 16 bytes of key",
    ] {
        let record = Record {
            kind: Kind::Set,
            version: of.incarnation,
            expires_at: None,
            kept: None,
            is_spread: true,
            value: header(rest).encode(),
        };
        assert!(Members::of(&record, txn.table(), &key).is_err(), "{rest}");
    }
}
