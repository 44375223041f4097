//! The range map: which group owns which interval, as far as this proxy knows.
//!
//! The map is a sorted snapshot that is replaced as a whole: a look-up takes no lock. It is built
//! from meta's catalog and from descriptors that groups sent with refusals (`learn`). Where two
//! descriptors overlap, the higher epoch is right (design §3): an older catalog never overrides a
//! group's descriptor, and a newer catalog replaces it. A wrong map costs a refusal, never a wrong
//! reply.
//!
//! Handles of groups outlive the maps, so their leaders and frame numbers are kept (`group`).

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use coterie_protocol::catalog::Catalog;
use coterie_types::{GroupId, RangeDescriptor, RangeId, TableId};
use dashmap::DashMap;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

use super::GroupRoute;

/// An interval of a table and its owner. It is a part of a range if the rest is known to belong to
/// another range by now.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) start: Bytes,
    /// `None` is the end of the table.
    pub(crate) end: Option<Bytes>,
    pub(crate) range: RangeDescriptor,
    pub(crate) group: Arc<GroupRoute>,
}

/// A version of the map.
#[derive(Debug, Default)]
pub(crate) struct RangeMap {
    /// Rises with every version.
    pub(crate) generation: u64,
    /// Sorted by table; the entries of each by start, without overlap.
    tables: Vec<(TableId, Vec<Entry>)>,
    /// The catalog it was built from, to look up nodes, groups and tables.
    pub(crate) catalog: Arc<Catalog>,
}

impl RangeMap {
    /// The entry that holds `key`.
    pub(crate) fn locate(&self, table: TableId, key: &[u8]) -> Option<&Entry> {
        let entries = self.entries(table);
        let after = match entries {
            [_] => 1,
            _ => entries.partition_point(|entry| entry.start.as_ref() <= key),
        };
        entries[..after]
            .last()
            .filter(|entry| entry.end.as_ref().is_none_or(|end| key < end.as_ref()))
            .filter(|entry| entry.start.as_ref() <= key)
    }

    /// The intervals of a table in key order.
    pub(crate) fn entries(&self, table: TableId) -> &[Entry] {
        match self.tables.binary_search_by_key(&table, |(id, _)| *id) {
            Ok(at) => &self.tables[at].1,
            Err(_) => &[],
        }
    }

    /// The tables that have ranges.
    pub(crate) fn tables(&self) -> Vec<TableId> {
        self.tables.iter().map(|(table, _)| *table).collect()
    }

    /// Whether the map is empty, as before the cluster's birth.
    pub(crate) fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }
}

/// See the module's head.
#[derive(Debug)]
pub(crate) struct RangeCache {
    map: ArcSwap<RangeMap>,
    generation: AtomicU64,
    groups: DashMap<GroupId, Arc<GroupRoute>>,
    sources: Mutex<Sources>,
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Sources {
    catalog: Arc<Catalog>,
    /// Descriptors that groups sent and the catalog does not have yet. At most as many as there are
    /// ranges: each is dropped once the catalog has caught up or a newer descriptor covers it.
    learnt: BTreeMap<RangeId, RangeDescriptor>,
}

impl RangeCache {
    pub(crate) fn new() -> Self {
        Self {
            map: ArcSwap::default(),
            generation: AtomicU64::new(0),
            groups: DashMap::new(),
            sources: Mutex::default(),
            changed: watch::Sender::new(0),
        }
    }

    /// The current map.
    pub(crate) fn load(&self) -> Arc<RangeMap> {
        self.map.load_full()
    }

    /// The generation of the current map; cheaper than loading the map.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Waits until the map is newer than `generation`, but no longer than `longest`.
    pub(crate) async fn newer_than(&self, generation: u64, longest: Duration) {
        let mut changed = self.changed.subscribe();
        let newer = changed.wait_for(|now| *now > generation);
        let _ = tokio::time::timeout(longest, newer).await;
    }

    /// Adopts a newer catalog.
    pub(crate) fn follow(&self, catalog: Arc<Catalog>) {
        let mut sources = self.lock();
        let old = std::mem::replace(&mut sources.catalog, catalog);
        let new = &sources.catalog;
        // Leases are renewed and jobs are logged all the time, which does not change the map.
        let same = old.ranges == new.ranges
            && old.groups == new.groups
            && old.nodes == new.nodes
            && old.tables == new.tables;
        if !same {
            self.rebuild(&mut sources);
        }
    }

    /// Learns the descriptors that a group sent with a refusal.
    pub(crate) fn learn(&self, ranges: Vec<RangeDescriptor>) {
        let mut sources = self.lock();
        let mut news = false;
        for range in ranges {
            let known = sources.learnt.get(&range.range_id);
            let known = known.or_else(|| sources.catalog.ranges.get(&range.range_id));
            if known.is_none_or(|known| known.epoch < range.epoch) {
                sources.learnt.insert(range.range_id, range);
                news = true;
            }
        }
        if news {
            self.rebuild(&mut sources);
        }
    }

    fn rebuild(&self, sources: &mut Sources) {
        let Sources { catalog, learnt } = sources;
        learnt.retain(|id, range| {
            let listed = catalog.ranges.get(id);
            listed.is_none_or(|listed| listed.epoch < range.epoch)
        });
        let mut used = Vec::new();
        let mut tables = BTreeMap::<TableId, Vec<Entry>>::new();
        for (range, parts) in tile(catalog.ranges.values().chain(learnt.values())) {
            used.push(range.range_id);
            let group = self.group(range.group_id);
            let entries = tables.entry(range.bounds.table).or_default();
            entries.extend(parts.into_iter().map(|(start, end)| Entry {
                start,
                end,
                range: range.clone(),
                group: Arc::clone(&group),
            }));
        }
        for entries in tables.values_mut() {
            entries.sort_by(|a, b| a.start.cmp(&b.start));
        }
        used.sort();
        learnt.retain(|id, _| used.binary_search(id).is_ok());
        let generation = self.generation.load(Ordering::Relaxed) + 1;
        // Before the map is stored: a frame routed by it must not be told that its map is old.
        self.tell_groups(&tables, generation);
        self.map.store(Arc::new(RangeMap {
            generation,
            tables: tables.into_iter().collect(),
            catalog: Arc::clone(catalog),
        }));
        self.generation.store(generation, Ordering::Release);
        self.changed.send_replace(generation);
    }

    /// Tells every group which intervals it owns by the map of this generation.
    fn tell_groups(&self, tables: &BTreeMap<TableId, Vec<Entry>>, generation: u64) {
        let mut digests = HashMap::<GroupId, DefaultHasher>::new();
        for (table, entries) in tables {
            for entry in entries {
                let digest = digests.entry(entry.group.id).or_default();
                (table, &entry.start, &entry.end).hash(digest);
            }
        }
        for group in &self.groups {
            let digest = digests.get(group.key()).map_or(0, Hasher::finish);
            group.owns(digest, generation);
        }
    }

    fn group(&self, id: GroupId) -> Arc<GroupRoute> {
        let entry = self.groups.entry(id);
        Arc::clone(
            entry
                .or_insert_with(|| Arc::new(GroupRoute::new(id)))
                .value(),
        )
    }

    fn lock(&self) -> MutexGuard<'_, Sources> {
        // Nothing panics while holding it.
        self.sources.lock()
    }
}

type Part = (Bytes, Option<Bytes>);

/// The parts of each descriptor that are valid: where two overlap, the higher epoch is.
fn tile<'a>(
    ranges: impl Iterator<Item = &'a RangeDescriptor>,
) -> Vec<(&'a RangeDescriptor, Vec<Part>)> {
    // A learnt descriptor stands behind the catalog's of the same range, and has a higher epoch.
    let mut newest: Vec<_> = ranges.filter(|range| !range.bounds.is_empty()).collect();
    newest.sort_by(|a, b| b.epoch.cmp(&a.epoch).then(a.range_id.cmp(&b.range_id)));
    let mut taken = BTreeMap::<(TableId, Bytes), Option<Bytes>>::new();
    let mut seen = std::collections::BTreeSet::new();
    let mut tiles = Vec::with_capacity(newest.len());
    for range in newest {
        // The older descriptor of a range says nothing about the part it lost.
        if !seen.insert(range.range_id) {
            continue;
        }
        let parts = free_parts(&taken, range);
        for (start, end) in &parts {
            taken.insert((range.bounds.table, start.clone()), end.clone());
        }
        if !parts.is_empty() {
            tiles.push((range, parts));
        }
    }
    tiles
}

/// The parts of `range` that are not taken.
fn free_parts(
    taken: &BTreeMap<(TableId, Bytes), Option<Bytes>>,
    range: &RangeDescriptor,
) -> Vec<Part> {
    let (table, bounds) = (range.bounds.table, &range.bounds);
    let mut parts = Vec::new();
    let mut start = bounds.start.clone();
    let before = taken.range((table, Bytes::new())..=(table, start.clone()));
    if let Some((_, end)) = before.last() {
        match end {
            None => return parts,
            Some(end) => start = start.max(end.clone()),
        }
    }
    let ends_by = |start: &Bytes| bounds.end.as_ref().is_some_and(|end| end <= start);
    let others = taken.range((table, start.clone())..(TableId(table.0 + 1), Bytes::new()));
    for ((_, other_start), other_end) in others {
        if ends_by(other_start) {
            break;
        }
        if start < *other_start {
            parts.push((start.clone(), Some(other_start.clone())));
        }
        match other_end {
            None => return parts,
            Some(end) => start = end.clone(),
        }
    }
    if !ends_by(&start) {
        parts.push((start, bounds.end.clone()));
    }
    parts
}

#[cfg(test)]
mod tests {
    use coterie_protocol::catalog::{Change, Row};
    use coterie_types::{Epoch, KeyRange, Revision};

    use super::*;

    fn range(id: u64, epoch: u64, start: &'static str, end: &'static str) -> RangeDescriptor {
        let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
        RangeDescriptor {
            range_id: RangeId(id),
            epoch: Epoch(epoch),
            bounds: KeyRange {
                table: TableId(0),
                start: bytes(start),
                end: (!end.is_empty()).then(|| bytes(end)),
            },
            group_id: GroupId(id * 10 + epoch),
        }
    }

    fn catalog(ranges: Vec<RangeDescriptor>) -> Arc<Catalog> {
        let mut catalog = Catalog::default();
        catalog.apply(&Change {
            revision: Revision(1),
            deletes: vec![],
            upserts: ranges.into_iter().map(Row::Range).collect(),
        });
        Arc::new(catalog)
    }

    fn owners(cache: &RangeCache) -> Vec<(String, u64)> {
        let map = cache.load();
        let entries = map.entries(TableId(0)).iter();
        entries
            .map(|entry| {
                let end = entry.end.as_deref().unwrap_or_default();
                let text = [entry.start.as_ref(), b"..", end].concat();
                (String::from_utf8(text).unwrap(), entry.group.id.0)
            })
            .collect()
    }

    fn owner(cache: &RangeCache, key: &str) -> Option<u64> {
        let map = cache.load();
        map.locate(TableId(0), key.as_bytes())
            .map(|entry| entry.group.id.0)
    }

    #[test]
    fn keys_are_located() {
        let cache = RangeCache::new();
        assert!(cache.load().is_empty() && owner(&cache, "a").is_none());
        cache.follow(catalog(vec![range(1, 1, "", "m"), range(2, 1, "m", "t")]));
        assert_eq!(owner(&cache, ""), Some(11));
        assert_eq!(owner(&cache, "lzz"), Some(11));
        assert_eq!(owner(&cache, "m"), Some(21));
        assert_eq!(owner(&cache, "t"), None);
        assert!(cache.load().locate(TableId(1), b"a").is_none());
    }

    #[test]
    fn a_higher_epoch_covers_a_lower_one() {
        let cache = RangeCache::new();
        cache.follow(catalog(vec![range(1, 1, "", "m"), range(2, 1, "m", "")]));
        cache.learn(vec![range(3, 2, "d", "p")]);
        let expected = [("..d", 11), ("d..p", 32), ("p..", 21)];
        assert_eq!(owners(&cache), expected.map(|(t, g)| (t.to_owned(), g)));
        cache.learn(vec![range(3, 1, "a", "z")]);
        assert_eq!(owner(&cache, "a"), Some(11), "older news is none");
    }

    #[test]
    fn the_part_a_range_lost_is_nobodys_until_somebody_says_so() {
        let cache = RangeCache::new();
        cache.follow(catalog(vec![range(1, 1, "", "")]));
        cache.learn(vec![range(1, 2, "", "m")]);
        assert_eq!((owner(&cache, "a"), owner(&cache, "x")), (Some(12), None));
        cache.learn(vec![range(2, 2, "m", "")]);
        assert_eq!(owner(&cache, "x"), Some(22));
    }

    #[test]
    fn a_catalog_that_has_caught_up_retires_what_was_learnt() {
        let cache = RangeCache::new();
        cache.follow(catalog(vec![range(1, 1, "", "")]));
        cache.learn(vec![range(1, 2, "", "")]);
        cache.follow(catalog(vec![range(1, 1, "", "")]));
        assert_eq!(owner(&cache, "a"), Some(12), "the catalog is older");
        cache.follow(catalog(vec![range(1, 3, "", "")]));
        assert_eq!(owner(&cache, "a"), Some(13));
        assert!(cache.lock().learnt.is_empty());
    }

    #[test]
    fn something_newer_over_all_of_it_retires_it_too() {
        let cache = RangeCache::new();
        cache.follow(catalog(vec![range(1, 1, "", "")]));
        cache.learn(vec![range(2, 2, "m", "")]);
        cache.follow(catalog(vec![range(1, 3, "", "")]));
        assert_eq!(owners(&cache), [("..".to_owned(), 13)]);
        assert!(cache.lock().learnt.is_empty(), "merged back");
    }

    #[test]
    fn a_group_knows_since_when_it_owns_what_it_owns() {
        let cache = RangeCache::new();
        cache.follow(catalog(vec![range(1, 1, "", "m"), range(2, 1, "m", "")]));
        let map = cache.load();
        let (first, second) = (
            Arc::clone(&map.entries(TableId(0))[0].group),
            Arc::clone(&map.entries(TableId(0))[1].group),
        );
        let generation = map.generation;
        assert!(!first.owns_other_than(generation) && !second.owns_other_than(generation));
        cache.learn(vec![range(2, 2, "m", "")]);
        assert!(!first.owns_other_than(generation), "nothing changed for it");
        assert!(second.owns_other_than(generation), "all of it is another's");
        assert!(!second.owns_other_than(cache.generation()));
    }

    #[test]
    fn the_handle_of_a_group_outlives_the_map() {
        let cache = RangeCache::new();
        cache.follow(catalog(vec![range(1, 1, "", "")]));
        let before = Arc::clone(&cache.load().entries(TableId(0))[0].group);
        cache.follow(catalog(vec![range(1, 1, "", "")]));
        let map = cache.load();
        assert!(Arc::ptr_eq(&before, &map.entries(TableId(0))[0].group));
    }
}
