//! The keys that clients of proxies have read from this replica and may keep (CLIENT TRACKING),
//! while it leads.
//!
//! A reader is noted before it reads, and looked for after an entry is in the store. So a reader of
//! the value before the entry is told of the change: once, over the link of its proxy. A read that
//! goes through the log is noted when its entry is applied, before the entry's changes are looked
//! at.
//!
//! All of it holds for a single term (`tracked_term`). When this replica leads in it no more, or
//! could not renew its lease for a while, when a key is not the group's any more, and when there is
//! no room, the proxies are told to expect no word: their clients forget the keys.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use coterie_group::{Body, Effects, Entry, Ownership, ResolvedFrame, resolve_frame};
use coterie_protocol::news::News;
use coterie_protocol::readers::{Holders, Key, Readers};
use coterie_protocol::tracking::{ChangedKey, Invalidation};
use coterie_protocol::{FrameFlags, Tracker};
use coterie_types::{KeyRange, Term};
use parking_lot::{Mutex, MutexGuard};

use crate::news::{Item, NewsLink};
use crate::trackers::Trackers;

/// Keys of a replica, at most.
const KEYS_MAX: usize = 1 << 20;
/// Bytes that the keys of all replicas of the node take, about, at most.
const BYTES_MAX: usize = 512 << 20;
/// Keys that a proxy is told to forget by name. Of more it is told to forget all.
const NAMED_MAX: usize = 1024;

/// See the module's head.
pub(crate) struct Tracked {
    pub(super) trackers: Arc<Trackers>,
    kept: Mutex<Kept>,
}

/// The keys of a term.
#[derive(Default)]
struct Kept {
    term: Option<Term>,
    /// By the numbers of links.
    keys: Readers<()>,
    links: BTreeMap<u64, Arc<NewsLink>>,
    /// Keys and bytes as they are counted in [`Trackers`].
    counted: (usize, usize),
}

/// The news of an entry, by link.
#[derive(Default)]
struct Told {
    changed: BTreeMap<u64, (Arc<NewsLink>, Vec<ChangedKey>)>,
    all: BTreeMap<u64, Arc<NewsLink>>,
}

impl Tracked {
    pub(super) fn new(trackers: Arc<Trackers>) -> Self {
        Self {
            trackers,
            kept: Mutex::default(),
        }
    }

    /// Whether entries are to be looked at once they are in the store.
    pub(super) fn is_used(&self) -> bool {
        self.trackers.is_used()
    }

    /// A frame came that goes through the log.
    pub(super) fn comes(&self, frame: &Bytes, term: impl FnOnce() -> Option<Term>) {
        if is_tracked(frame) {
            self.follow(term());
            self.trackers.use_now();
        }
    }

    /// Notes the keys that a frame is about to read, for its client. Returns whether it may: not if
    /// this replica does not lead, or its proxy has no link.
    pub(super) fn note(&self, frame: &ResolvedFrame, term: Option<Term>) -> bool {
        let Some(tracker) = frame.tracker.filter(|tracker| tracker.reads) else {
            return true;
        };
        let mut kept = self.lock();
        self.follow_with(&mut kept, term);
        let is_noted = kept.term.is_some() && self.note_with(&mut kept, frame, tracker);
        drop(kept);
        self.trackers.use_now();
        is_noted
    }

    fn note_with(&self, kept: &mut Kept, frame: &ResolvedFrame, tracker: Tracker) -> bool {
        let Some(link) = self.trackers.link(tracker.link) else {
            return false;
        };
        kept.links.insert(tracker.link, link);
        for command in &frame.commands {
            command.visit_tracked(&mut |table, key| {
                kept.keys.add(table, key, tracker.link, ());
            });
        }
        let mut evicted: Vec<(Key, Holders<()>)> = Vec::new();
        self.count(kept);
        let is_full = |kept: &Kept, trackers: &Trackers| {
            let bytes = trackers.bytes.load(Ordering::Relaxed);
            kept.keys.keys() > KEYS_MAX || bytes > BYTES_MAX
        };
        while is_full(kept, &self.trackers)
            && let Some(first) = kept.keys.pop_first()
        {
            evicted.push(first);
            self.count(kept);
        }
        let total = &self.trackers.evicted_total;
        total.fetch_add(evicted.len() as u64, Ordering::Relaxed);
        self.forget(kept, evicted);
        true
    }

    /// Looks at an entry that is in the store now.
    pub(super) fn applied(&self, payload: &Bytes, effects: &Effects) {
        let mut kept = self.lock();
        if kept.term.is_none() {
            return;
        }
        let Some(frames) = tracked_frames(payload) else {
            return;
        };
        for frame in &frames {
            if let Some(tracker) = frame.tracker.filter(|tracker| tracker.reads) {
                // If it has no link any more, its proxy will notice.
                self.note_with(&mut kept, frame, tracker);
            }
        }
        let changes = &effects.changes;
        if kept.keys.keys() == 0 && !self.trackers.has_named() {
            return;
        }
        let mut told = Told::default();
        for range in &changes.clears {
            self.cleared(&mut kept, range, &mut told);
        }
        let removed = changes.removals.iter();
        let removed = removed.map(|removal| (removal.table, removal.key.clone()));
        let changed: BTreeSet<Key> = changes.records.keys().cloned().chain(removed).collect();
        let own = own_changes(&frames);
        for (table, key) in changed {
            let holders = kept.keys.take(table, &key);
            let by = own.get(&(table, key.clone())).copied().flatten();
            let mut tell = |link: &Arc<NewsLink>| {
                let by = by.filter(|(of, _)| *of == link.id.link);
                let by = by.map(|(_, client)| client);
                let key = key.clone();
                told.change(link, ChangedKey { table, key, by });
            };
            let links = holders.iter().filter_map(|(link, ())| kept.links.get(link));
            links.for_each(&mut tell);
            self.trackers.visit_named(&key, &mut tell);
        }
        self.count(&mut kept);
        self.tell(told);
    }

    /// All keys of an interval are gone: whoever read any of them, or named a prefix, is told to
    /// forget all.
    fn cleared(&self, kept: &mut Kept, range: &KeyRange, told: &mut Told) {
        for (_, holders) in kept.keys.take_in(range) {
            for (number, ()) in holders {
                if let Some(link) = kept.links.get(&number) {
                    told.all.insert(number, Arc::clone(link));
                }
            }
        }
        for link in self.trackers.named() {
            told.all.insert(link.id.link, link);
        }
    }

    /// Forgets the keys that are not the group's any more.
    pub(super) fn disown(&self, ownership: &Ownership) {
        let mut kept = self.lock();
        let gone = kept
            .keys
            .take_all_unless(|(table, key), _, ()| ownership.owns(*table, key));
        self.count(&mut kept);
        self.forget(&kept, gone);
    }

    /// Keeps nothing of another term.
    pub(super) fn follow(&self, term: Option<Term>) {
        let mut kept = self.lock();
        self.follow_with(&mut kept, term);
    }

    fn follow_with(&self, kept: &mut Kept, term: Option<Term>) {
        if kept.term == term {
            return;
        }
        kept.term = term;
        let gone = kept.keys.take_all_unless(|_, _, ()| false);
        self.count(kept);
        self.forget(kept, gone);
        kept.links.clear();
        if term.is_some() {
            // The last leader may have applied changes and not have told them.
            self.tell_named_all();
        }
    }

    /// Forgets the keys of proxies that are gone. They notice when they come back.
    pub(super) fn forget_gone(&self) {
        let mut kept = self.lock();
        let gone: BTreeSet<u64> = kept
            .links
            .extract_if(.., |_, link| link.is_over())
            .map(|(number, _)| number)
            .collect();
        if !gone.is_empty() {
            drop(
                kept.keys
                    .take_all_unless(|_, link, ()| !gone.contains(&link)),
            );
            self.count(&mut kept);
        }
    }

    /// Tells proxies that they will not be told of these keys.
    fn forget(&self, kept: &Kept, keys: Vec<(Key, Holders<()>)>) {
        let mut of_links: BTreeMap<u64, Vec<Key>> = BTreeMap::new();
        for (key, holders) in keys {
            for (link, ()) in holders {
                of_links.entry(link).or_default().push(key.clone());
            }
        }
        for (number, keys) in of_links {
            let Some(link) = kept.links.get(&number) else {
                continue;
            };
            let invalidation = if keys.len() > NAMED_MAX {
                Invalidation::All
            } else {
                Invalidation::Forgotten(keys)
            };
            self.send(link, invalidation);
        }
    }

    fn tell_named_all(&self) {
        for link in self.trackers.named() {
            self.send(&link, Invalidation::All);
        }
    }

    fn tell(&self, told: Told) {
        for (number, (link, changed)) in told.changed {
            if !told.all.contains_key(&number) {
                let total = &self.trackers.told_total;
                total.fetch_add(changed.len() as u64, Ordering::Relaxed);
                self.send(&link, Invalidation::Changed(changed));
            }
        }
        for link in told.all.values() {
            self.send(link, Invalidation::All);
        }
    }

    fn send(&self, link: &NewsLink, invalidation: Invalidation) {
        // If the link is over, its proxy will notice.
        link.tell(&Item::new(&News::Invalidation(invalidation)));
    }

    /// Counts the keys with those of the other replicas.
    fn count(&self, kept: &mut Kept) {
        let now = (kept.keys.keys(), kept.keys.bytes());
        let (keys, bytes) = std::mem::replace(&mut kept.counted, now);
        let counts = [
            (&self.trackers.keys, keys, now.0),
            (&self.trackers.bytes, bytes, now.1),
        ];
        for (count, before, now) in counts {
            if now >= before {
                count.fetch_add(now - before, Ordering::Relaxed);
            } else {
                count.fetch_sub(before - now, Ordering::Relaxed);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Nothing panics while holding it.
        self.kept.lock()
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.follow(None);
    }
}

impl Told {
    fn change(&mut self, link: &Arc<NewsLink>, key: ChangedKey) {
        let of_link = self.changed.entry(link.id.link);
        let (_, keys) = of_link.or_insert_with(|| (Arc::clone(link), Vec::new()));
        if keys.last() != Some(&key) {
            keys.push(key);
        }
    }
}

/// Whether a frame names a client that tracks.
fn is_tracked(frame: &Bytes) -> bool {
    let flags = FrameFlags(frame.first().copied().unwrap_or_default());
    flags.has(FrameFlags::TRACKED)
}

/// The frames of an entry, if any of them names a client that tracks. `None` for an entry that
/// changes no key for its clients: records that arrive with a range are as they were.
fn tracked_frames(payload: &Bytes) -> Option<Vec<ResolvedFrame>> {
    let frames = match Entry::decode(payload.clone()).map(|entry| entry.body) {
        Ok(Body::Frames(frames) | Body::Fetched { frames, .. }) => frames,
        Ok(Body::Change(_)) => return None,
        _ => return Some(Vec::new()),
    };
    if !frames.iter().any(is_tracked) {
        return Some(Vec::new());
    }
    // A frame that cannot be decoded was refused.
    let resolved = frames.into_iter().map(resolve_frame);
    Some(resolved.filter_map(Result::ok).collect())
}

/// A client of a link.
type Who = (u64, u64);

/// The clients that do not want to be told of their own changes, by the keys that they alone may
/// have changed in these frames.
fn own_changes(frames: &[ResolvedFrame]) -> BTreeMap<Key, Option<Who>> {
    let who = |frame: &ResolvedFrame| {
        let tracker = frame.tracker.filter(|tracker| tracker.writes)?;
        Some((tracker.link, tracker.client))
    };
    let mut own = BTreeMap::new();
    if frames.iter().all(|frame| who(frame).is_none()) {
        return own;
    }
    for frame in frames {
        let by = who(frame);
        for command in &frame.commands {
            command.visit_touched(&mut |table, key, _| {
                let only = own.entry((table, key.clone())).or_insert(by);
                if *only != by {
                    *only = None;
                }
            });
        }
    }
    own
}
