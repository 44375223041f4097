//! The handle against a model, packed and spread.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;

use super::order::Item;
use super::span::{Selection, Span};
use crate::txn::spread::{PACKED_BYTES_MAX, SpreadHeader};
use crate::txn::tests::{T, b, ctx};
use crate::{Context, MemView, Txn, View};

/// A store, and a model of the set under `z`.
#[derive(Default)]
pub(super) struct Fixture {
    pub(super) view: MemView,
    pub(super) next_change: u64,
    pub(super) model: BTreeMap<Bytes, f64>,
}

/// Members long enough that some twenty make a set spread.
pub(super) fn member(number: u32, len: usize) -> Bytes {
    let number = number.to_string();
    Bytes::from(format!("{}{number}", "x".repeat(len - number.len())))
}

impl Fixture {
    /// Runs an entry.
    fn entry<R>(&mut self, run: impl FnOnce(&mut Txn<'_>, &mut BTreeMap<Bytes, f64>) -> R) -> R {
        self.next_change = self.next_change.max(1);
        let context = Context {
            next_change: self.next_change,
            seed: self.next_change,
            ..ctx(1)
        };
        let mut txn = Txn::new(&self.view, context);
        let result = run(&mut txn, &mut self.model);
        let changes = txn.finish().unwrap();
        self.view.apply(&changes);
        self.next_change = changes.next_change;
        result
    }

    pub(super) fn put(&mut self, member: &Bytes, score: f64) {
        self.entry(|txn, model| {
            let mut set = txn.zset(&b("z")).unwrap();
            let before = set.score(txn, member).unwrap();
            assert_eq!(before, model.get(member).copied());
            set.put(txn, member, before, score).unwrap();
            txn.put_zset(b("z"), set).unwrap();
            model.insert(member.clone(), score);
        });
    }

    fn remove(&mut self, member: &Bytes) {
        self.entry(|txn, model| {
            let mut set = txn.zset(&b("z")).unwrap();
            let removed = set.remove(txn, member).unwrap();
            assert_eq!(removed, model.remove(member));
            txn.put_zset(b("z"), set).unwrap();
        });
    }

    /// Removes items from an offset on, or pops from an end.
    pub(super) fn remove_some(&mut self, down: bool, offset: u64, count: u64) {
        self.entry(|txn, model| {
            let mut set = txn.zset(&b("z")).unwrap();
            let mut items = in_order(model);
            if down {
                items.reverse();
            }
            let gone: Vec<_> = items.into_iter().skip(offset as usize).collect();
            let gone = &gone[..gone.len().min(count as usize)];
            if offset == 0 {
                assert_eq!(set.pop(txn, down, count).unwrap(), gone);
            } else {
                let all = Selection::of(Span::All);
                let selection = Selection {
                    down,
                    offset,
                    count,
                    ..all
                };
                let removed = set.remove_all(txn, &selection).unwrap();
                assert_eq!(removed, gone.len() as u64);
            }
            for item in gone {
                model.remove(&item.member);
            }
            txn.put_zset(b("z"), set).unwrap();
        });
    }

    /// Everything that a handle tells is what the model says.
    fn check(&mut self) {
        self.entry(|txn, model| {
            let mut set = txn.zset(&b("z")).unwrap();
            let items = in_order(model);
            assert_eq!(set.len().unwrap(), items.len() as u64);
            for down in [false, true] {
                let mut walked = Vec::new();
                let all = Selection::end(down, u64::MAX);
                let visit = &mut |_: &mut Txn<'_>, item| {
                    walked.push(item);
                    Ok(true)
                };
                set.walk(txn, &all, visit).unwrap();
                if down {
                    walked.reverse();
                }
                assert_eq!(walked, items);
            }
            for (rank, item) in items.iter().enumerate() {
                let found = set.score(txn, &item.member).unwrap();
                assert_eq!(found, Some(item.score));
                assert_eq!(
                    set.rank(txn, &item.member, item.score).unwrap(),
                    rank as u64
                );
                assert_eq!(set.select(txn, rank as u64).unwrap().as_ref(), Some(item));
            }
            let (mut scanned, mut cursor) = (Vec::new(), 0);
            loop {
                let (next, page) = set.scan(txn, cursor, 3).unwrap();
                scanned.extend(page);
                cursor = next;
                if cursor == 0 {
                    break;
                }
            }
            scanned.sort_by(Item::order);
            assert_eq!(scanned, items, "each member is on one page");
        });
    }

    fn header(&self) -> Option<SpreadHeader> {
        let found = self.view.record(T, b"z").unwrap()?;
        let is_spread = found.is_spread;
        is_spread.then(|| SpreadHeader::decode(&found.value).unwrap())
    }
}

pub(super) fn in_order(model: &BTreeMap<Bytes, f64>) -> Vec<Item> {
    let item = |(member, score): (&Bytes, &f64)| Item {
        score: *score,
        member: member.clone(),
    };
    let mut items: Vec<_> = model.iter().map(item).collect();
    items.sort_by(Item::order);
    items
}

#[derive(Debug, Clone)]
enum Step {
    Put(u32, i32),
    Remove(u32),
    RemoveSome(bool, u64, u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => (0..60_u32, -5..5_i32).prop_map(|(member, score)| Step::Put(member, score)),
        3 => (0..60_u32).prop_map(Step::Remove),
        1 => (any::<bool>(), 0..3_u64, 1..12_u64)
            .prop_map(|(down, offset, count)| Step::RemoveSome(down, offset, count)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_sorted_set_is_a_map_in_order(
        len in prop::sample::select(vec![50_usize, 400]),
        steps in prop::collection::vec(step(), 0..90),
    ) {
        let mut fixture = Fixture::default();
        for step in steps {
            match step {
                Step::Put(number, score) => fixture.put(&member(number, len), score.into()),
                Step::Remove(number) => fixture.remove(&member(number, len)),
                Step::RemoveSome(down, offset, count) => fixture.remove_some(down, offset, count),
            }
        }
        fixture.check();
    }
}

#[test]
fn a_set_is_spread_when_it_outgrows_a_record() {
    let mut fixture = Fixture::default();
    // 1 byte for the count; 8 bytes, a length of 2 bytes and the member each.
    let each = 8 + 2 + 400;
    let fit = (PACKED_BYTES_MAX - 1) / each;
    for number in 0..fit as u32 {
        fixture.put(&member(number, 400), 1.0);
    }
    assert!(fixture.header().is_none());
    fixture.put(&member(99, 400), 1.0);
    assert_eq!(
        fixture.header().map(|header| header.count),
        Some(fit as u64 + 1)
    );
    fixture.check();
    for number in 0..fit as u32 {
        fixture.remove(&member(number, 400));
    }
    assert!(fixture.header().is_some(), "it is never packed again");
    fixture.check();
    fixture.remove(&member(99, 400));
    assert!(fixture.view.is_empty());
    fixture.put(&member(0, 400), 2.0);
    assert!(fixture.header().is_none(), "until the key was gone");
    fixture.check();
}

#[test]
fn a_large_set_has_counts_that_agree() {
    let mut fixture = Fixture::default();
    for number in 0..700 {
        fixture.put(&member(number, 20), f64::from(number * 7 % 300));
    }
    fixture.check();
    fixture.remove_some(false, 5, 300);
    fixture.remove_some(true, 0, 30);
    fixture.check();
    for number in 0..700 {
        fixture.remove(&member(number, 20));
    }
    fixture.check();
    assert!(fixture.view.is_empty());
}
