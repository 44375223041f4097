//! The state that a log entry sees and changes: the store, and over it the changes so far.
//!
//! A lookup asks the overlay, then the cleared intervals, then the [`View`]. This layer knows
//! records and versions. It knows neither commands nor the keys that they may touch.

use std::collections::BTreeMap;

use bytes::Bytes;
use coterie_types::{KeyRange, TableId, UnixMillis, Version};

use super::orders::Orders;
use super::savepoint::{Before, Savepoint};
use crate::changes::{Change, Place};
use crate::context::Clock;
use crate::{
    Changes, Classes, Collection, Context, ElementPlace, Fault, KeyEvent, Record, Removal, View,
};

pub(super) struct State<'a> {
    pub(super) view: &'a dyn View,
    pub(super) ctx: Context,
    pub(super) needs_tick: bool,
    /// Bytes of the keys and values in `overlay` and `elements`.
    pub(super) changed_bytes: usize,
    /// The same of every change that was made, also where a later change took its place.
    pub(super) written_bytes: usize,
    pub(super) overlay: BTreeMap<Place, Change>,
    /// Changed elements of spread collections (`txn/spread.rs`).
    pub(super) elements: BTreeMap<ElementPlace, Option<Bytes>>,
    /// The collection of the last of them.
    pub(super) last_changed: Option<Collection>,
    /// Changes of counted orders that wait (`txn/orders.rs`).
    pub(super) orders: Orders,
    pub(super) clears: Vec<KeyRange>,
    pub(super) cleared: u64,
    pub(super) removals: Vec<Removal>,
    /// Classes of events that are collected.
    pub(super) classes: Classes,
    pub(super) events: Vec<KeyEvent>,
    /// The innermost at the end.
    pub(super) savepoints: Vec<Savepoint>,
}

impl<'a> State<'a> {
    pub(super) fn new(view: &'a dyn View, ctx: Context) -> Self {
        Self {
            view,
            ctx,
            needs_tick: false,
            changed_bytes: 0,
            written_bytes: 0,
            overlay: BTreeMap::new(),
            elements: BTreeMap::new(),
            last_changed: None,
            orders: Orders::default(),
            clears: Vec::new(),
            cleared: 0,
            removals: Vec::new(),
            classes: Classes::NONE,
            events: Vec::new(),
            savepoints: Vec::new(),
        }
    }

    pub(super) fn finish(self) -> Changes {
        Changes {
            clears: self.clears,
            cleared: self.cleared,
            records: self.overlay,
            elements: self.elements,
            removals: self.removals,
            next_change: self.ctx.next_change,
            events: self.events,
        }
    }

    /// The clocks that decide whether a record is expired.
    pub(super) fn clock(&self) -> Clock {
        Clock {
            now: self.ctx.now,
            read_now: self.ctx.read_now,
        }
    }

    /// The time that remaining lifetimes are counted from.
    pub(super) fn read_now(&self) -> UnixMillis {
        self.ctx.read_now.unwrap_or(self.ctx.now)
    }

    /// The next number of the entry's chance (SplitMix64).
    pub(super) fn random(&mut self) -> u64 {
        self.ctx.seed = self.ctx.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.ctx.seed ^ (self.ctx.seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Whether the record is there to commands. Notes it when only a later clock can say.
    pub(super) fn is_live(&mut self, record: &Record) -> bool {
        let (clock, header) = (self.clock(), record.header());
        self.needs_tick |= clock.is_unsure(header);
        clock.is_live(header)
    }

    /// The stored record, expired or not.
    pub(super) fn stored(&self, table: TableId, key: &Bytes) -> Result<Option<Record>, Fault> {
        // Most entries look a key up before they change anything: spare them the search.
        if !self.overlay.is_empty()
            && let Some(record) = self.overlay.get(&(table, key.clone()))
        {
            return Ok(record.clone());
        }
        if self.is_cleared(table, key) {
            return Ok(None);
        }
        self.view.record(table, key)
    }

    pub(super) fn is_cleared(&self, table: TableId, key: &[u8]) -> bool {
        self.clears.iter().any(|range| range.contains(table, key))
    }

    /// Puts a change into the overlay: every change of a key goes through here.
    pub(super) fn change(&mut self, table: TableId, key: Bytes, record: Change) {
        let added = change_bytes(&key, &record);
        self.written_bytes = self.written_bytes.saturating_add(added);
        self.changed_bytes += added;
        let place = (table, key);
        let Some(savepoint) = self.savepoints.last_mut() else {
            let key_bytes = place.1.len();
            if let Some(before) = self.overlay.insert(place, record) {
                self.changed_bytes -= key_bytes + value_bytes(&before);
            }
            return;
        };
        let before = self.overlay.insert(place.clone(), record);
        if let Some(before) = &before {
            self.changed_bytes -= change_bytes(&place.1, before);
        }
        savepoint.before.note(place, before);
    }

    /// Removes every key of an interval.
    pub(super) fn clear(&mut self, range: KeyRange) {
        self.take_change();
        let (savepoint, changed_bytes) = (self.savepoints.last_mut(), &mut self.changed_bytes);
        let mut savepoint = savepoint;
        self.overlay.retain(|(table, key), record| {
            if !range.contains(*table, key) {
                return true;
            }
            *changed_bytes -= change_bytes(key, record);
            if let Some(savepoint) = &mut savepoint {
                savepoint
                    .before
                    .note((*table, key.clone()), Some(record.take()));
            }
            false
        });
        self.drop_elements(&range);
        self.clears.push(range);
        self.cleared = self.ctx.next_change;
    }

    /// See [`super::Txn::set_savepoint`].
    pub(super) fn set_savepoint(&mut self) {
        self.savepoints.push(Savepoint {
            before: Before::default(),
            elements_before: Before::default(),
            orders: self.orders.mark(),
            ctx: self.ctx,
            needs_tick: self.needs_tick,
            clears: self.clears.len(),
            cleared: self.cleared,
            removals: self.removals.len(),
            events: self.events.len(),
            changed_bytes: self.changed_bytes,
        });
    }

    /// See [`super::Txn::roll_back`].
    pub(super) fn roll_back(&mut self) {
        let Some(savepoint) = self.savepoints.pop() else {
            return;
        };
        savepoint.before.restore(&mut self.overlay);
        savepoint.elements_before.restore(&mut self.elements);
        self.orders.roll_back(savepoint.orders);
        self.ctx = savepoint.ctx;
        self.needs_tick = savepoint.needs_tick;
        self.clears.truncate(savepoint.clears);
        self.cleared = savepoint.cleared;
        self.removals.truncate(savepoint.removals);
        self.events.truncate(savepoint.events);
        self.changed_bytes = savepoint.changed_bytes;
    }

    /// See [`super::Txn::keep_changes`].
    pub(super) fn keep_changes(&mut self) {
        let Some(kept) = self.savepoints.pop() else {
            return;
        };
        if let Some(outer) = self.savepoints.last_mut() {
            for (place, before) in kept.before.into_all() {
                outer.before.note(place, before);
            }
            for (place, before) in kept.elements_before.into_all() {
                outer.elements_before.note(place, before);
            }
        }
    }

    pub(super) fn note_removal(&mut self, table: TableId, key: &Bytes, touched: u64) {
        let key = key.clone();
        self.removals.push(Removal {
            table,
            key,
            touched,
        });
    }

    pub(super) fn take_version(&mut self) -> Version {
        Version {
            group: self.ctx.group,
            change: self.take_change(),
        }
    }

    pub(super) fn take_change(&mut self) -> u64 {
        let change = self.ctx.next_change;
        self.ctx.next_change += 1;
        change
    }
}

fn change_bytes(key: &[u8], change: &Change) -> usize {
    key.len() + value_bytes(change)
}

fn value_bytes(change: &Change) -> usize {
    change.as_ref().map_or(0, |record| record.value.len())
}
