//! Ranks of the items of an ordered family in O(log n): counts between separators.
//!
//! A skip list without pointers, after the ranked set of the FoundationDB Record Layer. Level 0 is
//! the family of the items. Each level above is a family of its own, and holds about every 64th
//! item of the level below:
//!
//! ```text
//! level 0     the items, with values of their owner's
//! level l     key: a separator, an item of level l or higher; empty: the start of the level
//!             value: varint, how many items there are from this separator, included, to the next
//!             separator of the level, excluded
//! ```
//!
//! A keyed hash chooses the separators: an item is in level l if the hash ends in 6 l zero bits.
//! The key is the collection's own chance, so nobody can choose items that make long gaps. There
//! are as many levels as it takes for the highest to have about 256 separators, and none for up to
//! 256 items.
//!
//! So the records are a function of the items and of the key, whatever the history: replicas
//! agree, and a fresh build equals what is stored. The layout is on disk: pinned by the tests
//! below, described in `docs/disk-format.md`.
//!
//! Costs at a million items: a rank reads about 200 elements in three walks; an insertion reads two
//! separators and writes them, and every 64th adds one and reads the 64 items behind it.

use std::hash::Hasher;
use std::ops::Bound;

use bytes::Bytes;
use coterie_types::varint;
use siphasher::sip::SipHasher13;

use super::Txn;
use crate::{Collection, Fault, Walk};

/// A level has one of 2 to this many items of the level below.
const FAN_BITS: u32 = 6;
/// About how many separators the highest level has at most.
const TOP_MAX: u64 = 256;
/// The most levels above the items, and so the families that the counts need. With four, the
/// highest level outgrows [`TOP_MAX`] behind four billion items.
pub(crate) const LEVELS_MAX: u8 = 4;
/// The start of each level. No item is empty.
const START: &[u8] = &[];

/// The counted order of a family of a spread collection.
///
/// The owner puts and removes the items, and tells of each change afterwards.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counted<'c> {
    pub(crate) of: &'c Collection,
    /// The family of the items.
    pub(crate) order: u8,
    /// The first family of the counts; the others follow.
    pub(crate) ranks: u8,
    /// The key of the hash that chooses separators.
    pub(crate) seed: u64,
    /// How many items there are; how many there were, for a change.
    pub(crate) count: u64,
}

/// A separator, and how many items there are from it on.
type Separator = (Bytes, u64);

impl Counted<'_> {
    /// How many items there are before `item`, whether it is there or not.
    pub(crate) fn rank(&self, txn: &Txn<'_>, item: &[u8]) -> Result<u64, Fault> {
        let (mut rank, mut from) = (0, START.to_vec());
        for level in (1..=levels(self.count)).rev() {
            // The items from the last separator on are counted in the levels below.
            let (mut last, mut behind_last) = (Vec::new(), None);
            self.walk(txn, level, Walk::Up(Bound::Included(&from)), |at, count| {
                if at >= item && at != START {
                    return false;
                }
                rank += behind_last.replace(count).unwrap_or(0);
                last.clear();
                last.extend_from_slice(at);
                true
            })?;
            behind_last.ok_or_else(corrupt)?;
            from = last;
        }
        self.walk(txn, 0, Walk::Up(Bound::Included(&from)), |at, _| {
            let is_before = at < item;
            rank += u64::from(is_before);
            is_before
        })?;
        Ok(rank)
    }

    /// The item with so many others before it.
    pub(crate) fn select(&self, txn: &Txn<'_>, nth: u64) -> Result<Option<Bytes>, Fault> {
        if nth >= self.count {
            return Ok(None);
        }
        let (mut left, mut from) = (nth, Bytes::from_static(START));
        for level in (0..=levels(self.count)).rev() {
            let mut found = None;
            self.walk(txn, level, Walk::Up(Bound::Included(&from)), |at, count| {
                let is_here = left < count;
                if is_here {
                    found = Some(Bytes::copy_from_slice(at));
                } else {
                    left -= count;
                }
                !is_here
            })?;
            from = found.ok_or_else(corrupt)?;
        }
        Ok(Some(from))
    }

    /// Counts an item that was put into the family. It was not there before.
    pub(crate) fn insert(&self, txn: &mut Txn<'_>, item: &[u8]) -> Result<(), Fault> {
        let (before, after) = (levels(self.count), levels(self.count.saturating_add(1)));
        let height = self.height(item);
        for level in 1..=before {
            let (separator, count) = self.separator_before(txn, level, item)?;
            let count = count + 1;
            if level > height {
                self.put(txn, level, separator, count);
                continue;
            }
            // The level below is right already.
            let behind = self.count_behind(txn, level, item)?;
            let rest = count.checked_sub(behind).ok_or_else(corrupt)?;
            self.put(txn, level, separator, rest);
            self.put(txn, level, Bytes::copy_from_slice(item), behind);
        }
        for level in before + 1..=after {
            self.build_level(txn, level)?;
        }
        Ok(())
    }

    /// Takes an item that was removed from the family out of the counts.
    pub(crate) fn remove(&self, txn: &mut Txn<'_>, item: &[u8]) -> Result<(), Fault> {
        self.remove_run(txn, item, item, 1)
    }

    /// The same for many items: the `removed` items from `first` to `last`, both included, which
    /// were all items between these two.
    pub(crate) fn remove_run(
        &self,
        txn: &mut Txn<'_>,
        first: &[u8],
        last: &[u8],
        removed: u64,
    ) -> Result<(), Fault> {
        let left = self.count.checked_sub(removed).ok_or_else(corrupt)?;
        let (before, after) = (levels(self.count), levels(left));
        for level in 1..=after {
            let gone = self.separators_of_run(txn, level, first, last)?;
            let (separator, count) = self.separator_before(txn, level, first)?;
            let all = gone.iter().fold(count, |all, (_, count)| all + count);
            let rest = all.checked_sub(removed).ok_or_else(corrupt)?;
            self.put(txn, level, separator, rest);
            self.remove_all(txn, level, gone);
        }
        for level in after + 1..=before {
            let gone = self.separators(txn, level, Walk::ALL, |_| true)?;
            self.remove_all(txn, level, gone);
        }
        Ok(())
    }

    /// Builds all counts of a family that has none yet. O(n).
    pub(crate) fn build(&self, txn: &mut Txn<'_>) -> Result<(), Fault> {
        (1..=levels(self.count)).try_for_each(|level| self.build_level(txn, level))
    }

    /// Builds a level from the level below.
    fn build_level(&self, txn: &mut Txn<'_>, level: u8) -> Result<(), Fault> {
        let mut built = vec![(Bytes::from_static(START), 0)];
        self.walk(txn, level - 1, Walk::ALL, |at, count| {
            if at != START && self.height(at) >= level {
                built.push((Bytes::copy_from_slice(at), 0));
            }
            if let Some((_, sum)) = built.last_mut() {
                *sum += count;
            }
            true
        })?;
        for (separator, count) in built {
            self.put(txn, level, separator, count);
        }
        Ok(())
    }

    /// The highest level that has the item.
    fn height(&self, item: &[u8]) -> u8 {
        let mut hasher = SipHasher13::new_with_keys(self.seed, 0);
        hasher.write(item);
        (hasher.finish().trailing_zeros() / FAN_BITS) as u8
    }

    /// The items from this one up to the next separator of a level, summed in the level below.
    fn count_behind(&self, txn: &Txn<'_>, level: u8, item: &[u8]) -> Result<u64, Fault> {
        let mut behind = 0;
        self.walk(
            txn,
            level - 1,
            Walk::Up(Bound::Included(item)),
            |at, count| {
                let is_next = at != item && self.height(at) >= level;
                behind += if is_next { 0 } else { count };
                !is_next
            },
        )?;
        Ok(behind)
    }

    /// The last separator of a level before an item.
    fn separator_before(&self, txn: &Txn<'_>, level: u8, item: &[u8]) -> Result<Separator, Fault> {
        let mut found = None;
        self.walk(
            txn,
            level,
            Walk::Down(Bound::Excluded(item)),
            |at, count| {
                found = Some((Bytes::copy_from_slice(at), count));
                false
            },
        )?;
        found.ok_or_else(corrupt)
    }

    /// The separators of a level from `first` to `last`, both included.
    fn separators_of_run(
        &self,
        txn: &Txn<'_>,
        level: u8,
        first: &[u8],
        last: &[u8],
    ) -> Result<Vec<Separator>, Fault> {
        if first == last && self.height(first) < level {
            return Ok(Vec::new());
        }
        let walk = Walk::Up(Bound::Included(first));
        self.separators(txn, level, walk, |at| at <= last)
    }

    fn separators(
        &self,
        txn: &Txn<'_>,
        level: u8,
        walk: Walk<'_>,
        is_wanted: impl Fn(&[u8]) -> bool,
    ) -> Result<Vec<Separator>, Fault> {
        let mut found = Vec::new();
        self.walk(txn, level, walk, |at, count| {
            let wanted = is_wanted(at);
            if wanted {
                found.push((Bytes::copy_from_slice(at), count));
            }
            wanted
        })?;
        Ok(found)
    }

    /// Walks over a level: its separators, or items, with their counts.
    fn walk(
        &self,
        txn: &Txn<'_>,
        level: u8,
        walk: Walk<'_>,
        mut visit: impl FnMut(&[u8], u64) -> bool,
    ) -> Result<(), Fault> {
        let mut is_whole = true;
        let family = self.family(level);
        txn.scan_elements(self.of, family, walk, &mut |at, value| {
            let count = if level == 0 { Some(1) } else { count_of(value) };
            is_whole = count.is_some();
            count.is_some_and(|count| visit(at, count))
        })?;
        if is_whole { Ok(()) } else { Err(corrupt()) }
    }

    fn put(&self, txn: &mut Txn<'_>, level: u8, separator: Bytes, count: u64) {
        let mut value = Vec::with_capacity(varint::len(count));
        varint::put(&mut value, count);
        txn.put_element(self.of, self.family(level), separator, value);
    }

    fn remove_all(&self, txn: &mut Txn<'_>, level: u8, gone: Vec<Separator>) {
        for (separator, _) in gone {
            txn.remove_element(self.of, self.family(level), separator);
        }
    }

    fn family(&self, level: u8) -> u8 {
        match level {
            0 => self.order,
            _ => self.ranks + level - 1,
        }
    }
}

/// The levels above the items: the least number with `count / 64^levels <= 256`.
fn levels(count: u64) -> u8 {
    let is_enough = |levels: &u8| count <= TOP_MAX << (FAN_BITS * u32::from(*levels));
    (0..LEVELS_MAX).find(is_enough).unwrap_or(LEVELS_MAX)
}

/// The count in a value. No family has more items than this, so sums do not overflow.
fn count_of(mut value: &[u8]) -> Option<u64> {
    let count = varint::take(&mut value)?;
    (value.is_empty() && count < 1 << 40).then_some(count)
}

fn corrupt() -> Fault {
    Fault::corrupt("the counts of a spread collection do not fit its items")
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::BTreeSet;

    use coterie_types::{GroupId, KeyRange, TableId, Version};
    use proptest::prelude::*;

    use super::super::tests::{T, b, ctx};
    use super::*;
    use crate::{Header, MemView, Record, View};

    const ORDER: u8 = 1;
    const RANKS: u8 = 2;
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

    /// A store with a counted family, and a model of it.
    struct Family {
        of: Collection,
        view: MemView,
        model: BTreeSet<Bytes>,
    }

    impl Family {
        fn of_items(numbers: impl IntoIterator<Item = u32>) -> Self {
            let model: BTreeSet<Bytes> = numbers.into_iter().map(item).collect();
            let (of, mut view) = (collection(), MemView::new());
            let mut txn = Txn::new(&view, ctx(1));
            for item in &model {
                txn.put_element(&of, ORDER, item.clone(), b("value"));
            }
            counted(&of, model.len()).build(&mut txn).unwrap();
            let changes = txn.finish();
            view.apply(&changes);
            Self { of, view, model }
        }

        /// The same items, with all counts built at once.
        fn rebuilt(&self) -> MemView {
            let mut view = MemView::new();
            let mut txn = Txn::new(&view, ctx(1));
            for item in &self.model {
                txn.put_element(&self.of, ORDER, item.clone(), b("value"));
            }
            counted(&self.of, self.model.len()).build(&mut txn).unwrap();
            let changes = txn.finish();
            view.apply(&changes);
            view
        }

        /// Runs changes as an entry, which sees its own changes over the store.
        fn change(&mut self, steps: &[Step]) {
            let view = self.view.clone();
            let mut txn = Txn::new(&view, ctx(1));
            for step in steps {
                step.run(&mut txn, &self.of, &mut self.model);
            }
            let changes = txn.finish();
            self.view.apply(&changes);
        }

        fn check(&self, probes: &[u32]) {
            assert!(self.view == self.rebuilt(), "a fresh build differs");
            let txn = Txn::new(&self.view, ctx(1));
            let counted = counted(&self.of, self.model.len());
            let in_order: Vec<&Bytes> = self.model.iter().collect();
            for probe in probes {
                let (item, nth) = (item(*probe), *probe as usize % (in_order.len() + 2));
                let before = in_order.partition_point(|other| **other < item);
                assert_eq!(counted.rank(&txn, &item).unwrap(), before as u64);
                let selected = counted.select(&txn, nth as u64).unwrap();
                assert_eq!(selected.as_ref(), in_order.get(nth).copied());
            }
            for level in 1..=levels(counted.count) {
                let separators = counted.separators(&txn, level, Walk::ALL, |_| true);
                let sum: u64 = separators.unwrap().iter().map(|(_, count)| count).sum();
                assert_eq!(sum, counted.count, "the counts of level {level}");
            }
        }
    }

    fn counted(of: &Collection, count: usize) -> Counted<'_> {
        Counted {
            of,
            order: ORDER,
            ranks: RANKS,
            seed: SEED,
            count: count as u64,
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Insert(u32),
        Remove(u32),
        /// Removes so many items from this on.
        RemoveRun(u32, usize),
    }

    impl Step {
        fn run(&self, txn: &mut Txn<'_>, of: &Collection, model: &mut BTreeSet<Bytes>) {
            let counted = counted(of, model.len());
            match self {
                Self::Insert(number) => {
                    if model.insert(item(*number)) {
                        txn.put_element(of, ORDER, item(*number), b("value"));
                        counted.insert(txn, &item(*number)).unwrap();
                    }
                }
                Self::Remove(number) => {
                    if model.remove(&item(*number)) {
                        txn.remove_element(of, ORDER, item(*number));
                        counted.remove(txn, &item(*number)).unwrap();
                    }
                }
                Self::RemoveRun(number, count) => {
                    let run = model.range(item(*number)..).take(*count);
                    let run: Vec<Bytes> = run.cloned().collect();
                    for item in &run {
                        txn.remove_element(of, ORDER, item.clone());
                        model.remove(item);
                    }
                    if let (Some(first), Some(last)) = (run.first(), run.last()) {
                        let removed = run.len() as u64;
                        counted.remove_run(txn, first, last, removed).unwrap();
                    }
                }
            }
        }
    }

    fn step() -> impl Strategy<Value = Step> {
        let number = || 0..20_000_u32;
        prop_oneof![
            6 => number().prop_map(Step::Insert),
            4 => number().prop_map(Step::Remove),
            1 => (number(), 0..200_usize).prop_map(|(from, count)| Step::RemoveRun(from, count)),
        ]
    }

    #[test]
    fn levels_follow_the_count() {
        let at = [0, 256, 257, 16_384, 16_385, 1_000_000, 1_048_577, u64::MAX];
        assert_eq!(at.map(levels), [0, 0, 1, 1, 2, 2, 3, LEVELS_MAX]);
    }

    #[test]
    fn the_layout_on_disk_is_pinned() {
        let family = Family::of_items(0..300);
        let txn = Txn::new(&family.view, ctx(1));
        let stored = txn.some_elements(&family.of, RANKS, Walk::ALL, 9).unwrap();
        let stored: Vec<_> = stored
            .iter()
            .map(|(at, value)| (&at[..], &value[..]))
            .collect();
        let expected: [(&[u8], &[u8]); 5] = [
            (b"", b"\x80\x01"),
            (b"422", b"\x13"),
            (b"49", b"="),
            (b"691", b"-"),
            (b"841", b"/"),
        ];
        assert_eq!(stored, expected);
    }

    #[test]
    fn a_separator_is_chosen_by_the_seed() {
        let of = collection();
        let heights = |seed| {
            let counted = Counted {
                seed,
                ..counted(&of, 0)
            };
            (0..64 * 64)
                .map(|number| counted.height(&item(number)))
                .collect::<Vec<_>>()
        };
        assert_ne!(heights(1), heights(2));
        let count = |level| heights(3).iter().filter(|height| **height >= level).count();
        assert!((32..=128).contains(&count(1)), "{}", count(1));
        assert!(count(2) <= 8, "{}", count(2));
    }

    #[test]
    fn levels_come_and_go_as_the_count_crosses_their_bounds() {
        for bound in [256, 16_384] {
            let mut family = Family::of_items(0..bound);
            let before = family.view.clone();
            let fresh: Vec<u32> = (bound..bound + 3).collect();
            for number in &fresh {
                family.change(&[Step::Insert(*number)]);
                family.check(&[0, *number]);
            }
            for number in fresh.iter().rev() {
                family.change(&[Step::Remove(*number)]);
                family.check(&[0, *number]);
            }
            assert!(family.view == before);
        }
    }

    #[test]
    fn a_run_takes_several_levels_with_it() {
        let mut family = Family::of_items(0..17_000);
        family.change(&[Step::RemoveRun(0, 16_900)]);
        family.check(&[0, 5, 99, 12_345]);
        assert_eq!(
            family.view.elements_len(),
            family.model.len(),
            "no counts are left"
        );
        family.change(&[Step::RemoveRun(0, 17_000)]);
        assert_eq!(family.view.elements_len(), family.model.len());
    }

    #[test]
    fn counts_that_do_not_fit_are_a_fault() {
        let of = collection();
        let cut = |value| {
            let family = Family::of_items(0..300);
            let mut txn = Txn::new(&family.view, ctx(1));
            match value {
                Some(value) => txn.put_element(&of, RANKS, b(""), b(value)),
                None => txn.remove_element(&of, RANKS, b("")),
            }
            let counted = counted(&of, 300);
            let fits = [
                counted.insert(&mut txn, b"0").is_ok(),
                counted.remove(&mut txn, b"0").is_ok(),
                value.is_some() && counted.rank(&txn, b"9").is_ok(),
                value.is_some() && counted.select(&txn, 5).is_ok(),
            ];
            assert_eq!(fits, [false; 4], "{value:?}");
        };
        cut(None);
        cut(Some(""));
        cut(Some("\x05\x05"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn the_counts_are_a_function_of_the_items(
            size in prop::sample::select(vec![0_u32, 3, 200, 256, 1_500, 16_300]),
            entries in prop::collection::vec(prop::collection::vec(step(), 0..20), 0..8),
            probes in prop::collection::vec(0..20_000_u32, 20),
        ) {
            let mut family = Family::of_items(0..size);
            for steps in entries {
                family.change(&steps);
            }
            family.check(&probes);
        }
    }

    /// A store that counts the reads.
    struct Reads<'v> {
        view: &'v MemView,
        walks: Cell<u64>,
        elements: Cell<u64>,
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

    #[test]
    fn no_rank_walks_over_the_items() {
        let family = Family::of_items(0..60_000);
        let counted = counted(&family.of, 60_000);
        let reads_of = |run: &dyn Fn(&mut Txn<'_>)| {
            let (walks, elements) = (Cell::new(0), Cell::new(0));
            let reads = Reads {
                view: &family.view,
                walks,
                elements,
            };
            run(&mut Txn::new(&reads, ctx(1)));
            (reads.walks.get(), reads.elements.get())
        };
        for number in (60_000..60_050).map(item) {
            let (walks, elements) = reads_of(&|txn| {
                counted.rank(txn, &number).unwrap();
            });
            assert!(walks == 3 && elements < 1_000, "rank: {walks} {elements}");
            let (walks, elements) = reads_of(&|txn| {
                counted.select(txn, u64::from(number[0]) * 700).unwrap();
            });
            assert!(walks == 3 && elements < 1_000, "select: {walks} {elements}");
            let (walks, elements) = reads_of(&|txn| {
                txn.put_element(&family.of, ORDER, number.clone(), b("value"));
                counted.insert(txn, &number).unwrap();
            });
            assert!(walks <= 4 && elements < 1_000, "insert: {walks} {elements}");
        }
    }
}
