//! The order against a model, and against a fresh build.

use std::cell::Cell;
use std::collections::BTreeSet;

use bytes::Bytes;
use coterie_types::{GroupId, KeyRange, TableId, Version};
use proptest::prelude::*;

use super::super::tests::{T, b, ctx};
use super::*;
use crate::{Collection, Header, MemView, Record, View, Walk};

const FAMILY: u8 = 1;
const SEED: u64 = 11;

fn collection() -> Collection {
    Collection {
        table: T,
        key: b("k"),
        incarnation: Version {
            group: GroupId(1),
            change: 5,
        },
    }
}

/// Items that are no numbers in a row: a number's decimal digits, backwards.
fn item(number: u32) -> Bytes {
    let digits = number.to_string();
    Bytes::from(digits.chars().rev().collect::<String>())
}

fn counted(of: &Collection, count: usize) -> Counted<'_> {
    Counted {
        of,
        family: FAMILY,
        seed: SEED,
        count: count as u64,
    }
}

/// A store with an order, and a model of it.
struct Order {
    of: Collection,
    view: MemView,
    model: BTreeSet<Bytes>,
}

impl Order {
    fn of_items(numbers: impl IntoIterator<Item = u32>) -> Self {
        let model: BTreeSet<Bytes> = numbers.into_iter().map(item).collect();
        let of = collection();
        let view = built(&of, &model);
        Self { of, view, model }
    }

    /// Runs changes as an entry, which sees its own changes over the store.
    fn change(&mut self, steps: &[Step]) {
        let view = self.view.clone();
        let mut txn = Txn::new(&view, ctx(1));
        for step in steps {
            step.run(&mut txn, &self.of, &mut self.model);
        }
        let changes = txn.finish().unwrap();
        self.view.apply(&changes);
    }

    fn check(&self, probes: &[u32]) {
        let fresh = built(&self.of, &self.model);
        assert!(self.view == fresh, "a fresh build differs");
        let txn = Txn::new(&self.view, ctx(1));
        let counted = counted(&self.of, self.model.len());
        let in_order: Vec<&Bytes> = self.model.iter().collect();
        for probe in probes {
            let (item, nth) = (item(*probe), *probe as usize % (in_order.len() + 2));
            let before = in_order.partition_point(|other| **other < item);
            assert_eq!(counted.rank(&txn, &item).unwrap(), before as u64);
            let Some(mut path) = counted.select(&txn, nth as u64).unwrap() else {
                assert!(nth >= in_order.len());
                continue;
            };
            assert_eq!(path.rank(), nth as u64);
            let mut seen = Vec::new();
            let mut walk = |path: &mut Path, down, max| {
                seen.clear();
                let visit = |item: &[u8], value: &[u8]| {
                    assert_eq!(value, b"v");
                    seen.push(Bytes::copy_from_slice(item));
                    seen.len() < max
                };
                counted.walk(&txn, path, down, visit).unwrap();
                seen.clone()
            };
            let expected: Vec<Bytes> = in_order[nth..].iter().copied().cloned().collect();
            let (some, rest) = expected.split_at(expected.len().min(70));
            assert_eq!(walk(&mut path, false, 70), some);
            assert_eq!(walk(&mut path, false, usize::MAX), rest);
            let mut path = counted.select(&txn, nth as u64).unwrap().unwrap();
            let mut expected: Vec<Bytes> = in_order[..nth].iter().copied().cloned().collect();
            expected.reverse();
            assert_eq!(walk(&mut path, true, usize::MAX), expected);
        }
    }
}

/// A store with these items, built at once.
fn built(of: &Collection, items: &BTreeSet<Bytes>) -> MemView {
    let mut view = MemView::new();
    let mut txn = Txn::new(&view, ctx(1));
    let pairs = items.iter().map(|item| (item.clone(), b("v")));
    counted(of, items.len()).build(&mut txn, pairs).unwrap();
    let changes = txn.finish().unwrap();
    view.apply(&changes);
    view
}

#[derive(Debug, Clone)]
enum Step {
    Insert(u32),
    Remove(u32),
    /// Removes so many items from this on.
    RemoveRun(u32, usize),
    /// Brings what waits into the nodes.
    Settle,
    /// Steps behind a savepoint; whether they stay.
    Nested(Vec<Step>, bool),
}

impl Step {
    fn run(&self, txn: &mut Txn<'_>, of: &Collection, model: &mut BTreeSet<Bytes>) {
        let counted = counted(of, model.len());
        let (from, count) = match self {
            Self::Insert(number) => {
                if model.insert(item(*number)) {
                    txn.put_in_order(&counted, item(*number), b("v")).unwrap();
                }
                return;
            }
            Self::Remove(number) if model.contains(&item(*number)) => (number, 1),
            Self::Remove(_) => return,
            Self::RemoveRun(number, count) => (number, *count),
            Self::Settle => return txn.settle_orders().unwrap(),
            Self::Nested(steps, stay) => {
                let before = model.clone();
                txn.set_savepoint();
                steps.iter().for_each(|step| step.run(txn, of, model));
                if *stay {
                    txn.keep_changes();
                } else {
                    txn.roll_back();
                    *model = before;
                }
                return;
            }
        };
        let run = model.range(item(*from)..).take(count);
        let run: Vec<Bytes> = run.cloned().collect();
        if run.len() < model.len() {
            if let [one] = &run[..] {
                txn.remove_from_order(&counted, one.clone()).unwrap();
            } else {
                txn.settle_orders().unwrap();
                counted.remove_run(txn, run.clone()).unwrap();
            }
            model.retain(|item| !run.contains(item));
        }
    }
}

fn step() -> impl Strategy<Value = Step> {
    let number = || 0..20_000_u32;
    let single = prop_oneof![
        1 => Just(Step::Settle),
        6 => number().prop_map(Step::Insert),
        4 => number().prop_map(Step::Remove),
        1 => (number(), 0..200_usize).prop_map(|(from, count)| Step::RemoveRun(from, count)),
    ];
    single.prop_recursive(2, 12, 6, |inner| {
        let steps = prop::collection::vec(inner, 0..6);
        (steps, any::<bool>()).prop_map(|(steps, stay)| Step::Nested(steps, stay))
    })
}

#[test]
fn levels_follow_the_count() {
    let at = [
        0,
        4_096,
        4_097,
        262_144,
        262_145,
        1 << 24,
        (1 << 24) + 1,
        u64::MAX,
    ];
    assert_eq!(at.map(top), [1, 1, 2, 2, 3, 3, 4, LEVELS_MAX]);
}

#[test]
fn the_layout_on_disk_is_pinned() {
    let order = Order::of_items(0..60);
    let txn = Txn::new(&order.view, ctx(1));
    let stored = |family| {
        let stored = txn.some_elements(&order.of, family, Walk::ALL, 9).unwrap();
        let stored = stored.iter().map(|(at, value)| {
            let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
            format!("{}: {}", text(at), text(value))
        });
        stored.collect::<Vec<_>>().join("\n")
    };
    assert_eq!(
        stored(FAMILY + 1),
        ": \\x00!\\x0253\\x04\\x0261\\x08\\x0273\\x0f"
    );
    assert!(
        stored(FAMILY).starts_with(": \\x010\\x01v\\x0201\\x01v"),
        "{}",
        stored(FAMILY)
    );
}

#[test]
fn the_seed_chooses_nodes() {
    let of = collection();
    let heights = |seed| {
        let counted = Counted {
            seed,
            ..counted(&of, 0)
        };
        let heights = (0..32 * 64).map(|number| counted.height(&item(number)));
        heights.collect::<Vec<_>>()
    };
    assert_ne!(heights(1), heights(2));
    let count = |level| heights(3).iter().filter(|height| **height >= level).count();
    assert!((32..=128).contains(&count(1)), "{}", count(1));
    assert!(count(2) <= 8, "{}", count(2));
}

#[test]
fn levels_come_and_go_as_the_count_crosses_their_bounds() {
    let bound = 4_096;
    let mut order = Order::of_items(0..bound);
    let before = order.view.clone();
    let fresh: Vec<u32> = (bound..bound + 3).collect();
    for number in &fresh {
        order.change(&[Step::Insert(*number)]);
        order.check(&[0, *number]);
    }
    for number in fresh.iter().rev() {
        order.change(&[Step::Remove(*number)]);
        order.check(&[0, *number]);
    }
    assert!(order.view == before);
}

#[test]
fn a_run_takes_a_level_with_it() {
    let mut order = Order::of_items(0..17_000);
    order.change(&[Step::RemoveRun(0, 16_900)]);
    order.check(&[0, 5, 99, 12_345]);
    assert_eq!(order.model.len(), 100);
    assert!(order.view.elements_len() < 20);
}

#[test]
fn nodes_that_do_not_fit_are_a_fault() {
    let of = collection();
    let cut = |family, value| {
        let order = Order::of_items(0..300);
        let mut txn = Txn::new(&order.view, ctx(1));
        match value {
            Some(value) => txn.put_element(&of, family, b(""), b(value)),
            None => txn.remove_element(&of, family, b("")),
        }
        let counted = counted(&of, 300);
        let first = vec![item(0)];
        assert!(counted.remove_run(&mut txn, first).is_err(), "{value:?}");
        txn.put_in_order(&counted, b("\0"), b("")).unwrap();
        assert!(txn.finish().is_err(), "{value:?}");
    };
    cut(FAMILY + 1, None);
    cut(FAMILY, None);
    cut(FAMILY + 1, Some(""));
    cut(FAMILY + 1, Some("\x05\x05"));
    cut(FAMILY, Some("\x05\x05"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_nodes_are_a_function_of_the_items(
        size in prop::sample::select(vec![1_u32, 3, 200, 1_500, 4_050, 4_100, 8_200]),
        entries in prop::collection::vec(prop::collection::vec(step(), 0..20), 0..8),
        probes in prop::collection::vec(0..20_000_u32, 20),
    ) {
        let mut order = Order::of_items(0..size);
        for steps in entries {
            order.change(&steps);
        }
        order.check(&probes);
    }
}

/// A store that counts the reads.
struct Reads<'v> {
    view: &'v MemView,
    walks: Cell<u64>,
    elements: Cell<u64>,
    bytes: Cell<usize>,
}

impl View for Reads<'_> {
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
        self.elements.set(self.elements.get() + 1);
        let found = self.view.element(of, family, at)?;
        let bytes = found.as_ref().map_or(0, Bytes::len);
        self.bytes.set(self.bytes.get() + bytes);
        Ok(found)
    }

    fn scan_elements(
        &self,
        of: &Collection,
        family: u8,
        walk: Walk<'_>,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), Fault> {
        self.walks.set(self.walks.get() + 1);
        self.view.scan_elements(of, family, walk, visit)
    }
}

#[test]
fn few_nodes_are_read() {
    let order = Order::of_items(0..60_000);
    let counted = counted(&order.of, 60_000);
    let check = |run: &dyn Fn(&mut Txn<'_>)| {
        let reads = Reads {
            view: &order.view,
            walks: Cell::new(0),
            elements: Cell::new(0),
            bytes: Cell::new(0),
        };
        run(&mut Txn::new(&reads, ctx(1)));
        assert_eq!(reads.walks.get(), 0);
        assert!(reads.elements.get() <= 3, "{}", reads.elements.get());
        assert!(reads.bytes.get() < 16 << 10, "{}", reads.bytes.get());
    };
    for number in (60_000..60_050).map(item) {
        check(&|txn| {
            counted.rank(txn, &number).unwrap();
        });
        check(&|txn| {
            counted.select(txn, u64::from(number[0]) * 700).unwrap();
        });
        check(&|txn| {
            txn.put_in_order(&counted, number.clone(), b("v")).unwrap();
            txn.settle_orders().unwrap();
        });
    }
}
