//! Changes of the order: items come and go, and nodes are divided and joined as the hash says.
//!
//! A set of changes goes through the levels from the leaves up. On each level it is a list of keys
//! with their new entries, or none; the nodes that these touch are written anew, and the nodes'
//! own new entries are the list for the level above.

use std::collections::{BTreeMap, btree_map};
use std::rc::Rc;

use bytes::Bytes;

use super::super::state::State;
use super::run::{Entry, NewRun, Run};
use super::{Counted, START, corrupt, top};
use crate::{Fault, Txn};

/// The entries of keys of a level after a change; `None` for keys that go.
type Changed = BTreeMap<Bytes, Option<Entry>>;

/// A node that a change touches.
struct Touched {
    name: Bytes,
    /// The first key behind it; `None` for the last node of the level.
    end: Option<Bytes>,
    changes: Vec<(Bytes, Option<Entry>)>,
}

/// Nodes that were read: those above the level that is changed are looked at often.
#[derive(Default)]
struct Above(BTreeMap<(u8, Bytes), Rc<Run>>);

impl Above {
    fn node(
        &mut self,
        order: &Counted<'_>,
        state: &State<'_>,
        level: u8,
        name: Bytes,
    ) -> Result<Rc<Run>, Fault> {
        match self.0.entry((level, name)) {
            btree_map::Entry::Occupied(known) => Ok(Rc::clone(known.get())),
            btree_map::Entry::Vacant(place) => {
                let run = Rc::new(order.node(state, level, &place.key().1)?);
                Ok(Rc::clone(place.insert(run)))
            }
        }
    }
}

impl Counted<'_> {
    /// Builds the order of items that has none yet; `count` is the number of the items. O(n).
    pub(crate) fn build(
        &self,
        txn: &mut Txn<'_>,
        items: impl Iterator<Item = (Bytes, Bytes)>,
    ) -> Result<(), Fault> {
        let empty = Self { count: 0, ..*self };
        let state = &mut txn.state;
        for level in 0..=empty.top() {
            let mut run = NewRun::default();
            if level > 0 {
                run.push(START, &Entry::Node(0));
            }
            empty.put(state, level, START, run);
        }
        let changes = items.map(|(item, value)| (item, Some(value))).collect();
        empty.change(state, changes, self.count)
    }

    /// Removes items that are there and stand side by side in order.
    pub(crate) fn remove_run(&self, txn: &mut Txn<'_>, run: Vec<Bytes>) -> Result<(), Fault> {
        let left = self.count.checked_sub(run.len() as u64);
        let changes = run.into_iter().map(|item| (item, None)).collect();
        self.change(&mut txn.state, changes, left.ok_or_else(corrupt)?)
    }

    /// Puts and removes items; there are `count` of them then.
    pub(in super::super) fn change(
        &self,
        state: &mut State<'_>,
        changes: BTreeMap<Bytes, Option<Bytes>>,
        count: u64,
    ) -> Result<(), Fault> {
        if changes.is_empty() {
            return Ok(());
        }
        let items = changes.into_iter();
        let mut changed: Changed = items
            .map(|(item, value)| (item, value.map(Entry::Item)))
            .collect();
        let (mut above, before) = (Above::default(), self.top());
        for level in 0..=before {
            changed = self.change_level(state, &mut above, level, changed)?;
        }
        if !matches!(changed.get(START), Some(Some(Entry::Node(items))) if *items == count) {
            return Err(corrupt());
        }
        let after = top(count);
        (before..after).try_for_each(|level| self.raise(state, level))?;
        let mut lower = (after..before).rev();
        lower.try_for_each(|level| self.lower(state, level))
    }

    /// Changes the nodes of a level; returns the changes for the level above.
    fn change_level(
        &self,
        state: &mut State<'_>,
        above: &mut Above,
        level: u8,
        changes: Changed,
    ) -> Result<Changed, Fault> {
        let mut out = Output {
            counted: self,
            level,
            is_top: level == self.top(),
            open: None,
            changed: Changed::new(),
        };
        for touched in self.touched(state, above, level, changes)? {
            let run = match level {
                // No leaf is looked at twice.
                0 => Rc::new(self.node(state, level, &touched.name)?),
                _ => above.node(self, state, level, touched.name.clone())?,
            };
            let first = touched.changes.first();
            let is_gone = first.is_some_and(|(key, entry)| {
                *key == touched.name && entry.is_none() && touched.name != START
            });
            if is_gone {
                // The rest of its entries belong to the node before, which is open.
                state.remove_element(self, level, touched.name.clone());
                out.changed.insert(touched.name.clone(), None);
                if out.open.is_none() {
                    return Err(corrupt());
                }
            } else {
                out.begin(state, touched.name.clone(), NewRun::like(&run));
            }
            let mut at = 0;
            for (key, entry) in &touched.changes {
                let before = run.before(key);
                out.extend(&run, at..before)?;
                at = before + usize::from(before < run.len() && run.key(before) == *key);
                if let Some(entry) = entry {
                    out.push(state, key, entry)?;
                }
            }
            out.extend(&run, at..run.len())?;
        }
        out.close(state);
        Ok(out.changed)
    }

    /// The nodes of a level that changes touch, in order. A node that goes has the node before it
    /// with it.
    fn touched(
        &self,
        state: &State<'_>,
        above: &mut Above,
        level: u8,
        changes: Changed,
    ) -> Result<Vec<Touched>, Fault> {
        let mut all: Vec<Touched> = Vec::new();
        for (key, entry) in changes {
            let is_here = |node: &Touched| node.end.as_ref().is_none_or(|end| key < *end);
            if !all.last().is_some_and(is_here) {
                let node = self.node_of(state, above, level, |run| run.up_to(&key))?;
                if entry.is_none() && node.name == key && key != START {
                    let before = self.node_of(state, above, level, |run| run.before(&key))?;
                    if all.last().is_none_or(|last| last.name != before.name) {
                        all.push(before);
                    }
                }
                all.push(node);
            }
            if let Some(node) = all.last_mut() {
                node.changes.push((key, entry));
            }
        }
        Ok(all)
    }

    /// The node of a level that is found by going through the last of so many entries of each node
    /// above.
    fn node_of(
        &self,
        state: &State<'_>,
        above: &mut Above,
        level: u8,
        entries: impl Fn(&Run) -> usize,
    ) -> Result<Touched, Fault> {
        let (mut name, mut end) = (Bytes::from_static(START), None);
        for over in (level + 1..=self.top()).rev() {
            let run = above.node(self, state, over, name)?;
            let at = entries(&run).checked_sub(1).ok_or_else(corrupt)?;
            name = run.key_bytes(at);
            if at + 1 < run.len() {
                end = Some(run.key_bytes(at + 1));
            }
        }
        Ok(Touched {
            name,
            end,
            changes: Vec::new(),
        })
    }

    /// Divides the highest node, of this level, as the hash says, and puts a node over the parts.
    fn raise(&self, state: &mut State<'_>, level: u8) -> Result<(), Fault> {
        let run = self.node(state, level, START)?;
        let mut out = Output {
            counted: self,
            level,
            is_top: false,
            open: Some((Bytes::from_static(START), NewRun::like(&run))),
            changed: Changed::new(),
        };
        for at in 0..run.len() {
            out.push(state, &run.key_bytes(at), &Entry::Node(run.count(at)))?;
        }
        out.close(state);
        let mut over = NewRun::default();
        for (name, entry) in &out.changed {
            over.push(name, entry.as_ref().ok_or_else(corrupt)?);
        }
        self.put(state, level + 1, START, over);
        Ok(())
    }

    /// Joins all nodes of a level, and removes the node over them.
    fn lower(&self, state: &mut State<'_>, level: u8) -> Result<(), Fault> {
        let over = self.node(state, level + 1, START)?;
        let mut joined = NewRun::default();
        for at in 0..over.len() {
            let name = over.key_bytes(at);
            let run = self.node(state, level, &name)?;
            joined.extend(&run, 0..run.len());
            if name != START {
                state.remove_element(self, level, name);
            }
        }
        self.put(state, level, START, joined);
        state.remove_element(self, level + 1, Bytes::from_static(START));
        Ok(())
    }

    fn put(&self, state: &mut State<'_>, level: u8, name: &[u8], run: NewRun) {
        let name = Bytes::copy_from_slice(name);
        state.put_node(self, level, name, run.into_bytes());
    }
}

/// The nodes of a level as they are written; the last is open.
struct Output<'c> {
    counted: &'c Counted<'c>,
    level: u8,
    is_top: bool,
    open: Option<(Bytes, NewRun)>,
    changed: Changed,
}

impl Output<'_> {
    fn begin(&mut self, state: &mut State<'_>, name: Bytes, run: NewRun) {
        self.close(state);
        self.open = Some((name, run));
    }

    /// Appends an entry; begins another node if the entry's key does.
    fn push(&mut self, state: &mut State<'_>, key: &Bytes, entry: &Entry) -> Result<(), Fault> {
        let (name, _) = self.open.as_ref().ok_or_else(corrupt)?;
        let is_name = *key != START && !self.is_top && self.counted.height(key) > self.level;
        if is_name && key != name {
            self.begin(state, key.clone(), NewRun::default());
        }
        let (_, run) = self.open.as_mut().ok_or_else(corrupt)?;
        run.push(key, entry);
        Ok(())
    }

    /// Appends entries that were in a node already.
    fn extend(&mut self, run: &Run, range: std::ops::Range<usize>) -> Result<(), Fault> {
        let (_, open) = self.open.as_mut().ok_or_else(corrupt)?;
        open.extend(run, range);
        Ok(())
    }

    fn close(&mut self, state: &mut State<'_>) {
        if let Some((name, run)) = self.open.take() {
            let items = Entry::Node(run.items());
            self.counted.put(state, self.level, &name, run);
            self.changed.insert(name, Some(items));
        }
    }
}

impl State<'_> {
    fn put_node(&mut self, order: &Counted<'_>, level: u8, name: Bytes, node: Bytes) {
        self.set_element(order.of, order.family + level, name, Some(node));
    }

    fn remove_element(&mut self, order: &Counted<'_>, level: u8, name: Bytes) {
        self.set_element(order.of, order.family + level, name, None);
    }
}
